"""The accelerator's way: on the CPU, where the kernels are its oracle, and with `-m gpu` on a GPU."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import rubrica
from made_models import learn
from made_networks import CASES, NETWORKS, TORCH_ALONE
from ragged import needs_native
from rubrica.corpus.corpus import Split, build_corpus
from rubrica.learning import backend as backend_module
from rubrica.learning import loop
from rubrica.learning.backend import TorchBackend, choose_backend, compute_logits
from rubrica.learning.device_split import DeviceSplit
from rubrica.learning.job import Job
from rubrica.learning.loop import fit
from rubrica.learning.network import initial_table
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import make_config
from rubrica.networks.bptt import join_weights
from rubrica.networks.cells import GRU, LSTM, RNN
from rubrica.networks.embedding import TableAdam, WordTable
from rubrica.networks.networks import build_network
from rubrica.text.batching import pad_batch, similar_batches
from rubrica.text.vocab import TokenIds
from settings import changed


@pytest.fixture
def accelerators_way(monkeypatch):
    """Sends tensors of the CPU where those of a GPU go."""
    for module in TORCH_ALONE:
        monkeypatch.setattr(f"rubrica.{module}.uses_kernels", lambda tensor: False)


@pytest.fixture
def small(tiny_news, tiny_vectors):
    """A corpus of 160 texts: 5 updates of 32 an epoch."""
    settings = ["training.batch_size=32", "training.epochs=2", "model.hidden_size=8", "training.device=cpu"]
    config = changed(make_config(), settings)
    corpus = build_corpus(tiny_news, tiny_vectors, config.data)
    return SimpleNamespace(corpus=corpus, vectors=tiny_vectors, config=config, split=corpus.splits["train"])


def run(small, *settings, device="cpu"):
    config = changed(small.config, settings)
    seed_everything(0)
    job = Job(small.corpus, config, np.arange(160), small.vectors)
    model = build_network(config.model, initial_table(job), 4).to(device)
    history = fit(model, job)
    return model, history, compute_logits(model, small.split, np.arange(160), config)


TEXTS = st.lists(st.lists(st.integers(1, 99), max_size=9), min_size=1, max_size=12)


@given(texts=TEXTS, size=st.integers(1, 5), seed=st.integers(0, 99))
def test_what_is_gathered_is_what_the_host_pads(texts, size, seed):
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    split = Split(
        TokenIds(np.array([i for text in texts for i in text], np.int32), offsets), np.arange(len(texts))[::-1].copy()
    )
    draw = np.random.default_rng(seed)
    batches = similar_batches(draw.permutation(len(texts)), split.tokens, size, draw)
    sent = list(DeviceSplit(split, torch.device("cpu")).send(batches, [1] * len(batches)))
    assert len(sent) == len(batches)
    for there, batch in zip(sent, batches, strict=True):
        ids, lengths, targets, _ = there.gather()
        expected_ids, expected_lengths = pad_batch(split.tokens, batch)
        assert ids.dtype == torch.int64
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(lengths, expected_lengths)
        np.testing.assert_array_equal(targets, split.targets[batch])


def tolerance(name):
    """BatchNorm takes the mean away, so a bias before it has a gradient of rounding alone, which Adam scales up; the
    loss does not see it, the running mean lags behind it.
    """
    return 0.03 if name == "cnn" else 1e-3


MORE = ["model.bidirectional=false", "training.dropout=0.3", "training.label_smoothing=0.1"]


EXTRAS = [
    *((*case, extra) for case in CASES for extra in ([], ["model.mask_padding=false"])),
    *((name, "average", extra) for name in NETWORKS for extra in (["training.dense_updates=true"], MORE)),
]


@needs_native
@pytest.mark.parametrize(("name", "pooling", "extra"), EXTRAS)
def test_a_training_goes_the_accelerators_way_to_the_same_place(small, request, name, pooling, extra):
    settings = [*NETWORKS[name], f"model.pooling={pooling}", "training.freeze_steps=3", *extra]
    _, kernels, expected = run(small, *settings)
    request.getfixturevalue("accelerators_way")
    model, history, logits = run(small, *settings)
    backend = choose_backend(model, small.config, small.corpus.task)
    assert isinstance(backend, TorchBackend)  # the way was the other one
    np.testing.assert_allclose(history.losses, kernels.losses, rtol=1e-4)
    assert history.accuracies == pytest.approx(kernels.accuracies, abs=1e-6)
    np.testing.assert_allclose(logits, expected, rtol=1e-2, atol=tolerance(name))


@pytest.mark.parametrize("name", ["gru", "cnn"])
def test_a_model_that_was_judged_on_its_way_is_saved_and_loaded(
    tiny_news, tiny_vectors, accelerators_way, tmp_path, name
):
    splits = {"train": tiny_news.splits["train"], "validation": tiny_news.splits["test"]}
    config = changed(make_config(), [f"model.name={name}", "training.epochs=3", "training.device=cpu"])
    data = replace(tiny_news, splits=splits)
    model = learn(data, config, tiny_vectors, tmp_path / "model")
    assert [tensor for tensor in model.artifact.tensors if tensor.startswith("embedding.")] == [
        "embedding.weight",
        "embedding.scale",
    ]
    texts = splits["validation"].texts
    np.testing.assert_allclose(rubrica.load(tmp_path / "model").logits(texts), model.logits(texts), atol=1e-6)


def test_a_split_too_large_for_the_device_stays_with_the_host(small, accelerators_way, monkeypatch):
    _, there, _ = run(small)
    batches = []
    original = loop.update

    def watched(backend, split, batch, **more):
        batches.append(type(batch))
        return original(backend, split, batch, **more)

    monkeypatch.setattr(loop, "update", watched)
    monkeypatch.setattr(backend_module, "MOST_IDS", 10)
    _, here, _ = run(small)
    assert set(batches) == {np.ndarray}
    assert here.losses == there.losses


@pytest.mark.parametrize("dense", [True, False])
def test_adam_on_the_whole_table_is_torchs(accelerators_way, dense):
    """`torch.optim.Adam` moves every row, `SparseAdam` those of the batch."""
    start = torch.randn(9, 3, dtype=torch.float64)
    table, theirs = (
        WordTable(start.clone()),
        nn.Embedding.from_pretrained(start.clone(), freeze=False, sparse=not dense),
    )
    ours = TableAdam(table, 0.1, dense=dense)
    kind = torch.optim.Adam if dense else torch.optim.SparseAdam
    optimizer = kind(theirs.parameters(), lr=0.1)
    # SparseAdam adds its epsilon before it divides by the weight so far, which shows in the eighth digit.
    tolerance = 1e-12 if dense else 1e-6
    factors = torch.tensor([[1.0, -2, 3], [2, -1, -1], [-3, 3, 2]], dtype=torch.float64)
    for step in range(30):
        ids = torch.randint(step % 5, 9, (2, 3))
        vectors, index = table(ids)
        (nn.functional.embedding(index, vectors) * factors[step % 3]).sum().backward()
        ours.step()
        optimizer.zero_grad()
        (theirs(ids) * factors[step % 3]).sum().backward()
        optimizer.step()
        torch.testing.assert_close(table.weight, theirs.weight, rtol=tolerance, atol=tolerance)
    assert not torch.allclose(table.weight, start, atol=0.1)


@pytest.mark.parametrize("cell", [RNN, GRU, LSTM])
def test_joined_weights_are_the_same_parameters(cell):
    layer = cell(5, 4, bidirectional=True)
    before = {name: (id(parameter), parameter.detach().clone()) for name, parameter in layer.named_parameters()}
    state = torch.get_rng_state()
    join_weights(layer)
    assert torch.equal(torch.get_rng_state(), state)
    for name, parameter in layer.named_parameters():
        assert id(parameter) == before[name][0]
        assert torch.equal(parameter, before[name][1])


@pytest.fixture
def exact():
    """Float32 as it is on the CPU; the GPU rounds factors to 10 bits where it may."""
    places = (torch.backends.cudnn.rnn, torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    yield
    for place, value in zip(places, before, strict=True):
        place.fp32_precision = value


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "pooling"), CASES)
def test_a_gpu_learns_the_same(small, exact, name, pooling):
    settings = [*NETWORKS[name], f"model.pooling={pooling}", "training.freeze_steps=3"]
    _, on_cpu, expected = run(small, *settings)
    _, history, logits = run(small, *settings, device="cuda")
    np.testing.assert_allclose(history.losses, on_cpu.losses, rtol=1e-2 if name == "cnn" else 1e-3)
    np.testing.assert_allclose(logits, expected, rtol=1e-2, atol=10 * tolerance(name))


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("more", [[], MORE], ids=str)
@pytest.mark.parametrize(("name", "pooling"), CASES)
def test_no_update_waits_for_the_gpu(small, name, pooling, more):
    config = changed(small.config, [*NETWORKS[name], f"model.pooling={pooling}", *more])
    job = Job(small.corpus, config, np.arange(160), small.vectors)
    model = build_network(config.model, initial_table(job), 4).cuda()
    backend = choose_backend(model, config, small.corpus.task)
    batches = list(DeviceSplit(small.split, torch.device("cuda")).send([np.arange(32), np.arange(32, 96)], [1, 1]))
    loop.update(backend, small.split, batches[0])  # sets itself up
    torch.cuda.set_sync_debug_mode("error")
    try:
        loop.update(backend, small.split, batches[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")
