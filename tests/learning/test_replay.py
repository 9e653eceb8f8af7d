"""More updates on a copy: what they start from, what they record, and which rows they move."""

import numpy as np
import pytest
import torch

from made_models import learn
from rubrica.learning.backend import choose_backend
from rubrica.learning.loop import WINDOW
from rubrica.learning.replay import replay
from rubrica.learning.start import drawn_start
from rubrica.learning.train import train_dataset
from rubrica.models.config import make_config
from rubrica.networks.probe import open_network
from settings import changed

SMALL = ["model.hidden_size=8", "model.with_linear=false", "training.batch_size=32", "training.epochs=2"]


@pytest.fixture
def trained(tiny_news):
    config = changed(make_config(), SMALL)
    corpus, artifact = train_dataset(tiny_news, None, config)
    return corpus, artifact


def again(trained, *settings, lr=1e-2, steps=3):
    corpus, artifact = trained
    config = changed(artifact.config, settings)
    table = artifact.tensors["embedding.weight"].astype(np.float32)
    if artifact.storage != "float32":
        from rubrica.models.storage import take_rows

        table = take_rows(artifact.tensors, "embedding.weight")
    network = open_network(config.model, artifact.tensors, table, 4)
    parts = corpus.splits["train"], corpus.splits["test"]
    return network, replay(network, config, corpus.task, *parts, lr=lr, steps=steps, unknown=corpus.vocab.unknown_id)


def test_no_step_leaves_the_answers_as_they_are(trained, tiny_news):
    from rubrica.predict.classifier import Classifier

    _, found = again(trained, steps=0)
    np.testing.assert_allclose(found.logits, Classifier(trained[1]).logits(tiny_news.splits["test"].texts), atol=1e-5)
    assert found.absent == 0


def test_steps_of_no_size_move_nothing_and_others_do(trained):
    still, found = again(trained, lr=0.0)
    before = open_network(trained[1].config.model, trained[1].tensors, still.embedding.weight.detach().numpy(), 4)
    assert torch.equal(still.head.weight, before.head.weight)
    moved, _ = again(trained)
    assert not torch.equal(moved.head.weight, still.head.weight)
    assert found.norms.min() > 0


def test_only_dense_updates_move_words_that_are_not_read(trained):
    rare = ["training.batch_size=4", "training.word_dropout=0"]
    assert again(trained, "training.dense_updates=false", *rare)[1].absent == 0
    assert again(trained, "training.dense_updates=true", *rare)[1].absent > 0.2


def test_a_replay_is_the_same_twice(trained):
    first, second = (again(trained)[1] for _ in range(2))
    assert first.logits.tobytes() == second.logits.tobytes()


def test_a_training_records_how_long_its_gradients_were_and_how_many_were_clipped(tiny_news):
    plain = [f"training.{name}=0.0" for name in ("label_smoothing", "word_dropout", "dropout", "adversarial")]
    for limit, share in ((1e-9, 1.0), (1e3, 0.0)):
        config = changed(make_config(), [*SMALL, *plain, f"training.max_grad_norm={limit}", "training.epochs=20"])
        model = learn(tiny_news, config)
        lines = [line for line in model.artifact.history if "loss" in line]
        assert [line["step"] for line in lines] == [1, WINDOW, 2 * WINDOW]
        assert {line["clipped"] for line in lines} == {share}
        assert all(line["gradient_norm"] > limit if share else 0 < line["gradient_norm"] < limit for line in lines)


def test_the_norm_of_an_update_is_the_norm_of_autograd_s_gradient(trained):
    corpus, artifact = trained
    config = changed(
        artifact.config, [f"training.{name}=0.0" for name in ("label_smoothing", "dropout", "adversarial")]
    )
    split, rows = corpus.splits["train"], np.arange(32)
    from rubrica.learning.loop import update
    from rubrica.models.storage import take_rows
    from rubrica.text.batching import pad_batch

    table = take_rows(artifact.tensors, "embedding.weight")
    network = open_network(config.model, artifact.tensors, table, 4)
    exact = open_network(config.model, artifact.tensors, table.astype(np.float64), 4)
    backend = choose_backend(network, config, corpus.task)
    backend.set_lr(1e-3)
    update(backend, split, rows)
    ids, lengths = pad_batch(split.tokens, rows)
    logits = exact(torch.from_numpy(ids), torch.from_numpy(lengths))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.targets[rows])).backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in exact.parameters()]).norm()
    assert float(backend.norm) == pytest.approx(float(wanted), rel=1e-4)


def test_a_drawn_table_is_drawn_again(tiny_news, tiny_vectors):
    """Frozen all along, a table ends where it started."""
    from rubrica.learning import loop

    config = changed(make_config(), [*SMALL, "training.seed=3", "training.storage=float32", "training.max_steps=1"])
    for vectors, more in ((None, []), (tiny_vectors, ["model.embedding=random"])):
        settings = changed(config, more)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "update", lambda backend, split, batch, **more: torch.zeros(2))
            patch.setattr(loop.Backend, "norm", torch.zeros(()), raising=False)
            corpus, artifact = train_dataset(tiny_news, vectors, settings)
        start = drawn_start(artifact.config, corpus.rows, corpus.table_size)
        np.testing.assert_array_equal(artifact.tensors["embedding.weight"][: len(start)], start)


def test_a_corpus_of_few_texts_is_gone_over_again(trained):
    corpus = trained[0]
    assert len(corpus.splits["train"].tokens) < 32 * 13
    assert len(again(trained, steps=20)[1].norms) == 30
