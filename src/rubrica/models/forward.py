"""The networks' forward passes without torch: ids of texts in, logits out.

What a recurrent layer adds up for a word it adds up once per distinct word of the call: the vectors times the first
layer are a small table, which the texts then read. The formulas are those of `cells.py` and `models/`; the tests
hold them to torch's probabilities. Weights go by the names that they have in the torch model.

Letters: N texts, T steps, B texts of a batch, E numbers in a word vector, H hidden units or filters, C classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config
from rubrica.kernels import bag, mingru, native, recurrent, runs, windows
from rubrica.kernels.rows import distinct
from rubrica.models.storage import take_rows
from rubrica.text.batching import iter_rows, pad_batch
from rubrica.text.vocab import TokenIds

Floats = NDArray[np.floating[Any]]
Weights = dict[str, NDArray[Any]]

DIRECTIONS = {False: ("l0",), True: ("l0", "l0_reverse")}
"""How torch names the parameters of one or both directions of reading."""

_BAG_TABLES = ("embedding.weight", "ngrams.weight")
_BATCH_NORM_EPS = 1e-5  # torch's default, which the models keep
_PADDED_BATCH = 256  # texts that a cnn or a drnn reads at a time; more only cost memory
_TOKENS_PER_THREAD = 4096  # that are worth starting another thread for


def logits(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    """Logits (N, C).

    A model that masks its padding scores each text by itself. A model that reads padding as words, as the
    seminar's do, is given batches of its training size in the texts' order, which is how it was evaluated.

    Args:
        weights: The tensors of an artifact.
        config: Which network they belong to.
        tokens: The ids of N texts.
    """
    features = _FEATURES.get(config.model.name, _recurrent_features)(weights, config, tokens)
    return features @ weights["head.weight"].T + weights["head.bias"]


def _bag_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    words, ngrams = (weights[name] for name in _BAG_TABLES)
    tables = bag.Tables(words, ngrams, config.model.word_ngrams)
    if words.dtype != np.float32 and len(tokens.ids) * tables.word_ngrams < len(words) + len(ngrams):
        rows, owners = bag.rows_of(tables, tokens.ids, tokens.offsets)  # few texts: their rows alone are expanded
        is_word = rows < len(words)
        taken = np.empty((len(rows), config.model.embedding_dim), np.float32)
        taken[is_word] = take_rows(weights, _BAG_TABLES[0], rows[is_word])
        taken[~is_word] = take_rows(weights, _BAG_TABLES[1], rows[~is_word] - len(words))
        return bag.mean_rows(taken, owners, len(tokens))
    if words.dtype != np.float32:
        words, ngrams = (take_rows(weights, name, np.arange(len(weights[name]))) for name in _BAG_TABLES)
    return bag.features(bag.Tables(words, ngrams, tables.word_ngrams), tokens.ids, tokens.offsets)


def _recurrent_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    vectors, rows, starts, lengths = _words(weights, config, tokens)
    threads, features = _threads(rows), []
    for i, way in enumerate(DIRECTIONS[config.model.bidirectional]):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_ih, w_hh, b_ih, b_hh = (weights[f"cell.{name}_{way}"] for name in names)
        u = weights["attention.weight"][i] if config.model.pooling == "attention" else None
        projected = recurrent.project(config.model.name, vectors, w_ih, b_ih, threads=threads)
        reading = recurrent.Reading(config.model.name, config.model.pooling, rows, starts, lengths, reverse=i == 1)
        features.append(recurrent.forward(reading, projected, w_hh, b_hh, u, threads=threads)[0])
    return features[0] if len(features) == 1 else np.hstack(features)


def _words(
    weights: Weights, config: Config, tokens: TokenIds
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors of the distinct words, which of them stands where, and where each text starts and how long it is read."""
    ids, starts, lengths = tokens.ids, tokens.offsets[:-1], tokens.lengths
    if not config.model.mask_padding:
        batches = [pad_batch(tokens, rows)[0] for rows in _batches(tokens, config)]
        steps = [batch.shape[1] for batch in batches for _ in batch]
        ids = np.concatenate([batch.ravel() for batch in batches])
        lengths = np.array(steps, np.int64)
        starts = np.cumsum(lengths) - lengths
    words, rows = distinct(ids, len(weights["embedding.weight"]))
    return take_rows(weights, "embedding.weight", words), rows, starts, lengths


def _threads(rows: NDArray[np.int32]) -> int:
    return max(1, min(native.num_threads(), len(rows) // _TOKENS_PER_THREAD))


def _mingru_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    vectors, rows, starts, lengths = _words(weights, config, tokens)
    threads, hidden, features = _threads(rows), config.model.hidden_size, []
    for i, way in enumerate(DIRECTIONS[config.model.bidirectional]):
        weight, bias = weights[f"cell.weight_ih_{way}"], weights[f"cell.bias_ih_{way}"]
        gates = mingru.make_gates(vectors, weight, bias, threads=threads)
        reading = recurrent.Reading("mingru", config.model.pooling, rows, starts, lengths, reverse=i == 1)
        if config.model.pooling == "attention":
            states = mingru.states(reading, gates, hidden, threads=threads)
            features.append(runs.attend_runs(states, lengths, weights["attention.weight"][i]))
        else:
            features.append(mingru.forward(reading, gates, hidden, threads=threads)[0])
    return features[0] if len(features) == 1 else np.hstack(features)


def _disconnected_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    vectors, rows, starts, lengths = _words(weights, config, tokens)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w_ih, w_hh, b_ih, b_hh = (weights[f"cell.{name}_l0"] for name in names)
    projected = recurrent.project("gru", vectors, w_ih, b_ih, threads=_threads(rows))
    features = np.empty((len(lengths), weights["head.weight"].shape[1]), vectors.dtype)
    for texts in iter_rows(np.arange(len(lengths)), _PADDED_BATCH):
        counts = lengths[texts]
        owners = np.repeat(np.arange(len(texts)), counts)
        ends = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
        sizes = np.minimum(ends + 1, config.model.window)
        # A window is a text that ends at a word.
        reading = recurrent.Reading("gru", "last", rows, starts[texts][owners] + ends + 1 - sizes, sizes)
        threads = max(1, min(native.num_threads(), int(sizes.sum()) // _TOKENS_PER_THREAD))
        states = recurrent.forward(reading, projected, w_hh, b_hh, threads=threads)[0]
        states = np.maximum(states @ weights["mlp.weight"].T + weights["mlp.bias"], 0)
        features[texts] = runs.pool_runs(config.model.pooling, states, counts)
    return features


def _kim_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    vectors, rows, starts, lengths = _words(weights, config, tokens)
    texts, threads = windows.Texts(config.model.pooling, rows, starts, lengths), _threads(rows)
    features = []
    for i, places in enumerate(config.model.kernel_sizes):
        weight, bias = (weights[f"convs.{i}.{name}"] for name in ("weight", "bias"))
        projected = windows.project(vectors, weight, threads=threads)
        features.append(windows.forward(texts, projected, bias, places, threads=threads)[0])
    return np.hstack(features)


def _convolution_features(weights: Weights, config: Config, tokens: TokenIds) -> Floats:
    if config.model.kernel_sizes:
        return _kim_features(weights, config, tokens)
    features = np.empty((len(tokens), weights["head.weight"].shape[1]), weights["head.weight"].dtype)
    for rows in _batches(tokens, config):
        ids, lengths = pad_batch(tokens, rows)
        states, real = _convolutions(weights, ids, lengths if config.model.mask_padding else None)
        features[rows] = _POOLINGS[config.model.pooling](states, real)
    return features


_FEATURES = {
    "bag": _bag_features,
    "cnn": _convolution_features,
    "mingru": _mingru_features,
    "drnn": _disconnected_features,
}


def _batches(tokens: TokenIds, config: Config) -> list[NDArray[np.int64]]:
    if config.model.mask_padding:
        return list(iter_rows(np.argsort(tokens.lengths, kind="stable"), _PADDED_BATCH))
    return list(iter_rows(np.arange(len(tokens)), config.training.batch_size))


def _convolutions(
    weights: Weights, ids: NDArray[np.int64], lengths: NDArray[np.int64] | None
) -> tuple[Floats, NDArray[np.int64] | None]:
    """The CNN's last features (T, B, H), and how many of the steps each text still has."""
    x: Floats = take_rows(weights, "embedding.weight", ids)  # (B, T, E)
    if lengths is not None:
        x = x * _real(lengths, x.shape[1]).T[..., None]
    block = 0
    while f"convs.{block}.weight" in weights:
        kernel = weights[f"convs.{block}.weight"]  # (H, E, 3)
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        steps = (x.shape[1] + 1) // 2
        # The window at step t holds tokens 2t-1, 2t, 2t+1; one product per place in the window.
        windows = [padded[:, k : k + 2 * steps - 1 : 2] @ kernel[:, :, k].T for k in range(3)]
        x = windows[0] + windows[1] + windows[2] + weights[f"convs.{block}.bias"]
        mean, variance = weights[f"norms.{block}.running_mean"], weights[f"norms.{block}.running_var"]
        x = (x - mean) / np.sqrt(variance + np.float32(_BATCH_NORM_EPS))
        x = np.maximum(x * weights[f"norms.{block}.weight"] + weights[f"norms.{block}.bias"], 0)
        if lengths is not None:
            lengths = (lengths + 1) // 2
            x = x * _real(lengths, steps).T[..., None]
        block += 1
    return x.transpose(1, 0, 2), lengths


def _real(lengths: NDArray[np.int64], num_steps: int) -> NDArray[np.bool_]:
    """True at the steps of real tokens, (T, B)."""
    return np.arange(num_steps)[:, None] < lengths


def _pool_max(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    if lengths is None:
        return states.max(axis=0)
    features = np.where(_real(lengths, len(states))[..., None], states, -np.inf).max(axis=0)
    return np.where((lengths == 0)[:, None], 0, features).astype(states.dtype)


def _pool_average(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    if lengths is None:
        return states.mean(axis=0)
    total = (states * _real(lengths, len(states))[..., None]).sum(axis=0)
    return total / np.maximum(lengths, 1).astype(states.dtype)[:, None]


def _pool_average_max(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    return np.hstack([_pool_average(states, lengths), _pool_max(states, lengths)])


_POOLINGS = {"max": _pool_max, "average": _pool_average, "average_max": _pool_average_max}
