"""The training loop: freezing, repeatability, validation, interruption."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interrupts import interrupt
from made_networks import NETWORKS, TORCH_ALONE
from rubrica.config.groups import AdamTraining
from rubrica.corpus.corpus import build_corpus
from rubrica.errors import ConfigError
from rubrica.kernels import native
from rubrica.learning import loop
from rubrica.learning.backend import KernelBackend, choose_backend, choose_device, compute_logits, to_tensors
from rubrica.learning.device_split import DeviceSplit
from rubrica.learning.job import Job
from rubrica.learning.loop import fit
from rubrica.learning.network import initial_table
from rubrica.learning.schedule import drop_words, lr_at
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import make_config
from rubrica.networks.networks import build_network
from settings import changed


@pytest.fixture
def small(tiny_news, tiny_vectors):
    """A corpus of 160 texts: 5 updates of 32 an epoch."""
    config = changed(
        make_config(), ["training.batch_size=32", "training.epochs=2", "training.freeze_steps=0", "model.hidden_size=8"]
    )
    config = changed(
        config, [f"training.{name}=0.0" for name in ("label_smoothing", "word_dropout", "dropout", "adversarial")]
    )
    corpus = build_corpus(tiny_news, tiny_vectors, config.data)
    return SimpleNamespace(corpus=corpus, vectors=tiny_vectors, config=config, split=corpus.splits["train"])


def job_of(small, config, split=None, rows=160):
    corpus = small.corpus if split is None else small.corpus.with_split("train", split)
    return Job(corpus, config, np.arange(rows), small.vectors)


def make(small, *settings):
    config = changed(small.config, settings)
    seed_everything(config.training.seed)
    return build_network(config.model, initial_table(job_of(small, config)), 4), config


def train(small, model, config, validate=None):
    return fit(model, job_of(small, config), validate)


def run(small, *settings):
    model, config = make(small, *settings)
    return model, train(small, model, config)


def report(loss, accuracy=0.5):
    return SimpleNamespace(loss=loss, measure="accuracy", main=accuracy)


def test_a_frozen_table_is_bit_equal_until_it_thaws(small):
    model, config = make(small, "training.freeze_steps=7")
    start = model.embedding.weight.detach().clone()
    seen = []
    original = loop.update

    def watched(*args, **more):
        result = original(*args, **more)
        seen.append(torch.equal(model.embedding.weight, start))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", watched)
        train(small, model, config)
    assert seen == [True] * 7 + [False] * 3


def test_words_that_no_text_uses_keep_their_row(small):
    model, _ = make(small)
    unused = sorted(set(range(len(small.corpus.rows))) - set(small.split.tokens.ids.tolist()))
    start = model.embedding.weight.detach().clone()
    train(small, model, small.config)
    assert unused
    assert torch.equal(model.embedding.weight[unused], start[unused])
    used = sorted(set(small.split.tokens.ids.tolist()))
    assert not torch.isclose(model.embedding.weight[used], start[used]).all(dim=1).any()


@pytest.mark.parametrize("more", [[], ["model.bidirectional=false", "model.pooling=max"], ["training.adversarial=1"]])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_bit_identical_weights(small, name, more):
    (a, history_a), (b, history_b) = (run(small, *NETWORKS[name], *more) for _ in range(2))
    assert history_a.losses == history_b.losses
    assert len(history_a.losses) == 10
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)
    _, other = run(small, *NETWORKS[name], *more, "training.seed=1")
    assert other.losses != history_a.losses


def test_every_epoch_sees_every_text_once_in_an_order_of_its_own(small):
    seen = []
    original = loop.update

    def watched(backend, split, batch, **more):
        seen.append(batch)
        return original(backend, split, batch, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", watched)
        run(small)
    rows = [batch if isinstance(batch, np.ndarray) else batch.rows.numpy() for batch in seen]
    first, second = np.concatenate(rows[:5]), np.concatenate(rows[5:])
    assert sorted(first) == sorted(second) == list(range(160))
    assert first.tolist() != second.tolist()


def test_the_best_epoch_is_kept_and_patience_ends_the_training(small):
    losses, states = iter([0.5, 0.3, 0.4, 0.6, 0.2]), []
    model, config = make(small, "training.epochs=9", "training.patience=2")

    def validate():
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return report(next(losses))

    history = train(small, model, config, validate)
    assert len(states) == 4
    for name, value in model.state_dict().items():
        assert torch.equal(value, states[1][name])
    validations = [record for record in history.records if "validation_loss" in record]
    assert [record["validation_loss"] for record in validations] == [0.5, 0.3, 0.4, 0.6]
    assert [record["step"] for record in validations] == [5, 10, 15, 20]


def test_ctrl_c_ends_the_training_with_the_best_model_so_far(small, monkeypatch):
    model, config = make(small, "training.epochs=9")
    best = {}
    original = loop.update

    def validate():
        best.update({name: value.clone() for name, value in model.state_dict().items()})
        return report(0.5)

    def impatient(*args, **more):
        if best and len(steps) == 7:
            raise KeyboardInterrupt
        steps.append(1)
        return original(*args, **more)

    steps = []
    monkeypatch.setattr(loop, "update", impatient)
    history = train(small, model, config, validate)
    assert history.interrupted
    assert len(history.losses) == 7
    assert history.train_seconds > 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, best[name])


def test_scores_leave_the_model_as_it_was(small):
    model, config = make(small, "model.name=cnn")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    rows = np.array([5, 3, 150])
    logits = compute_logits(model, small.split, rows, config)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert logits.shape == (3, 4)
    for row, expected in zip(rows, logits, strict=True):
        alone = compute_logits(model, small.split, np.array([row]), config)[0]
        np.testing.assert_allclose(alone, expected, atol=1e-5)


@pytest.fixture
def there(request, monkeypatch):
    """Whether the update goes the accelerator's way, as every update does without a native core."""
    if not request.param and native.library() is None:
        pytest.skip("no native core")
    if request.param:
        for module in TORCH_ALONE:
            monkeypatch.setattr(f"rubrica.{module}.uses_kernels", lambda tensor: False)
    return request.param


def both_ways(test):
    return pytest.mark.parametrize("there", [False, True], indirect=True)(test)


def watch(small, model, config):
    """A backend that keeps the gradients instead of moving anything."""
    backend, found = choose_backend(model, config, small.corpus.task), []
    backend.step = lambda: found.append(model.head.weight.grad.clone())
    return backend, found


@both_ways
@pytest.mark.parametrize("name", ["gru", "cnn"])
def test_a_smoothed_target_is_torchs(small, name, there):
    settings = [f"model.name={name}", "training.max_grad_norm=1e9", "training.label_smoothing=0.3"]
    model, config = make(small, *settings)
    rows = np.arange(32)
    ids, lengths, targets, _ = to_tensors(small.split, rows, torch.device("cpu"))
    expected = torch.nn.functional.cross_entropy(model(ids, lengths), targets, label_smoothing=0.3)
    wanted = torch.autograd.grad(expected, model.head.weight)[0]
    backend, gradients = watch(small, model, config)
    assert isinstance(backend, KernelBackend) != there
    loss, _ = loop.update(backend, small.split, rows)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradients[0], wanted, rtol=1e-4, atol=1e-6)


@both_ways
@pytest.mark.parametrize("name", ["gru", "cnn"])
def test_a_text_counts_by_its_weight(small, name, there):
    settings = [f"model.name={name}", "training.max_grad_norm=1e9", "training.label_smoothing=0.1"]
    model, config = make(small, *settings)
    split = replace(small.split, weights=np.random.default_rng(0).uniform(0, 3, 160).astype(np.float32))
    rows = np.arange(40, 72)
    ids, lengths, targets, weights = to_tensors(split, rows, torch.device("cpu"))
    losses = torch.nn.functional.cross_entropy(model(ids, lengths), targets, label_smoothing=0.1, reduction="none")
    expected = (weights * losses).sum() / weights.sum()
    wanted = torch.autograd.grad(expected, model.head.weight)[0]
    backend, gradients = watch(small, model, config)
    assert isinstance(backend, KernelBackend) != there
    if there:  # the accelerator's batches, too
        (rows,) = DeviceSplit(split, torch.device("cpu")).send([rows], [1])
    loss, _ = loop.update(backend, split, rows)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradients[0], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["gru", "cnn"])
def test_dropout_is_drawn_anew_in_each_update_and_the_same_in_each_training(small, name):
    settings = [f"model.name={name}", "training.dropout=0.5"]
    (a, history_a), (b, history_b) = (run(small, *settings) for _ in range(2))
    assert history_a.losses == history_b.losses
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)
    model, config = make(small, *settings)
    backend, _ = watch(small, model, config)
    losses = {loop.update(backend, small.split, np.arange(32))[0].item() for _ in range(5)}
    assert len(losses) == 5
    first, second = (compute_logits(model, small.split, np.arange(9), config) for _ in range(2))
    np.testing.assert_array_equal(first, second)  # an answer drops nothing


@both_ways
@pytest.mark.parametrize("name", ["gru", "mingru", "cnn", "drnn"])
def test_adversarial_learning_is_the_mean_with_a_moved_table(small, name, there):
    settings = [f"model.name={name}", "training.max_grad_norm=1e9"]
    model, config = make(small, *settings)
    batch = np.arange(32)

    def gradients(settings):
        """The loss, and the gradients by the head and by the table, (V, E)."""
        backend, found = choose_backend(model, settings, small.corpus.task), []

        def look():
            table = torch.zeros_like(model.embedding.weight)
            words = slice(None) if there else backend.table.table.words
            table[words] = backend.gradients()[-1]
            found.extend([model.head.weight.grad.clone(), table])

        backend.step = look
        for parameter in backend.parameters:
            if there:
                parameter.grad = None
        model.embedding.weight.grad = None
        loss, _ = loop.update(backend, small.split, batch)
        return loss.item(), *found

    loss, head, of_words = gradients(config)
    length = 0.7
    found = gradients(changed(config, [f"training.adversarial={length}"]))
    assert found[0] == pytest.approx(loss, rel=1e-5)
    with torch.no_grad():
        model.embedding.weight += length * of_words / of_words.norm()
    moved_loss, moved_head, moved_words = gradients(config)
    assert moved_loss > loss
    torch.testing.assert_close(found[1], (head + moved_head) / 2, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found[2], (of_words + moved_words) / 2, rtol=1e-3, atol=1e-6)


def test_ctrl_c_leaves_no_word_moved(small, monkeypatch):
    model, config = make(small, "training.adversarial=1")
    interrupt(monkeypatch, type(choose_backend(model, config, small.corpus.task)), "differentiate", call=2)
    start = compute_logits(model, small.split, np.arange(160), config)
    assert train(small, model, config).interrupted
    np.testing.assert_array_equal(compute_logits(model, small.split, np.arange(160), config), start)


def test_a_frozen_table_is_not_moved(small):
    plain, _ = run(small, "training.freeze_epochs=2")
    moved, _ = run(small, "training.freeze_epochs=2", "training.adversarial=1")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, moved.state_dict()[name])


def test_the_step_size_of_an_update_is_its_own(small, monkeypatch):
    seen = []
    model, config = make(small, "training.warmup=0.5")
    kind = type(choose_backend(model, config, small.corpus.task))
    monkeypatch.setattr(kind, "set_lr", lambda self, lr: seen.append(lr))
    run(small, "training.warmup=0.5")
    assert seen == [lr_at((step + 0.5) / 10, config.training) for step in range(10)]


def test_dropped_words_are_drawn_anew_in_each_epoch(small):
    settings, tokens = AdamTraining(word_dropout=0.3), small.split.tokens
    seen = [drop_words(small.split, 3, settings, epoch).tokens for epoch in (0, 0, 1)]
    np.testing.assert_array_equal(seen[0].ids, seen[1].ids)
    assert (seen[0].ids != seen[2].ids).mean() > 0.2
    changed = seen[0].ids != tokens.ids
    assert 0.2 < changed.mean() < 0.4
    assert (seen[0].ids[changed] == 3).all()
    assert (tokens.ids != seen[0].ids).any()  # the split itself keeps its words
    assert drop_words(small.split, 3, AdamTraining(word_dropout=0.0), 0) is small.split


@both_ways
def test_long_gradients_are_clipped(small, there, monkeypatch):
    model, config = make(small, "training.max_grad_norm=1e-3", "training.epochs=1")
    backend, norms = choose_backend(model, config, small.corpus.task), []

    def record(scale=1.0):  # torch has scaled them itself
        gradients = [scale * tensor.grad for tensor in (*backend.parameters, *backend.table.trained())]
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm().item())

    monkeypatch.setattr(backend.table, "step", record)
    monkeypatch.setattr(backend.adam, "step", lambda *scale: None)
    loop.update(backend, small.split, np.arange(32))
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_devices_by_name():
    assert choose_device(AdamTraining(device="cpu")) == torch.device("cpu")
    assert choose_device(AdamTraining(device="auto")).type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match=r"training\.device is 'gpu' \(.*\); give cpu, cuda or auto"):
        choose_device(AdamTraining(device="gpu"))


@pytest.mark.parametrize(("name", "during"), [("gru", 1), ("kim", 1), ("cnn", 2)])
def test_torch_keeps_out_of_the_way_of_the_kernels_and_comes_back(small, name, during):
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        model, config = make(small, *NETWORKS[name], "training.epochs=1")

        def validate():
            seen.append(torch.get_num_threads())
            return report(1.0)

        fit(model, job_of(small, config, rows=64), validate)
        assert seen == [during if native.library() else 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_loss_that_is_no_number_is_never_the_best(small):
    model, config = make(small, "training.epochs=3")
    losses = iter([float("nan"), 0.5, float("nan")])
    report = SimpleNamespace(measure="accuracy", main=0.5)
    kept = []

    def validate():
        report.loss = next(losses)
        kept.append(model.head.weight.detach().clone())
        return report

    train(small, model, config, validate)
    assert torch.equal(model.head.weight, kept[1])
