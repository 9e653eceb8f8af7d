"""The road from texts to a saved model: read, number, build, fit, score, save.

Letters: N texts, C classes, V words in use, W words of the vectors, E numbers in a word vector.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact, check_writable, save_artifact
from rubrica.config.settings import Config, load_recipe
from rubrica.corpus.corpus import Corpus, Split, build_corpus, pretrained_table
from rubrica.corpus.held_out import class_counts, hold_out
from rubrica.data.dataset import Dataset, check_trainable, read_dataset
from rubrica.data.labels import SEPARATOR
from rubrica.errors import ConfigError
from rubrica.files import make_array
from rubrica.learning.budget import choose_length
from rubrica.learning.history import Trained
from rubrica.learning.parts import choose_trainer, join_parts, train_parts
from rubrica.models.storage import store_tensors
from rubrica.predict.classifier import Classifier
from rubrica.scoring import metrics
from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.thresholds import tune_thresholds
from rubrica.text.tokenizer import is_token
from rubrica.text.vocab import PAD_ID, TokenIds, Vocab
from rubrica.vectors.case import follow_case
from rubrica.vectors.own_words import extend_vectors
from rubrica.vectors.word_vectors import Vectors, load_vectors

log = logging.getLogger(__name__)

_UNCALIBRATED = (0.6, 1.5)  # weights of a network and of a linear model that no text was held out for: as is common
_MOST_HELD = 2000  # texts held out of train at the most: enough to weigh parts and to judge epochs
_SPARE = 0.7  # of the time that is left: training anew, on some texts more, has to take less than this
_NEGLIGIBLE = 0.05  # of train; where more was held out, the model is trained once more, on all of it
_CALIBRATED = 1 << 16  # of more held-out texts, so many tell the weights
_SCORED = 1 << 13  # texts at a time, about: some MB of ids and features


def train(
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    config: Config | None = None,
    vectors: str | Path | Vectors | None = None,
    time_budget: float | None = None,
    text_columns: tuple[str, ...] = (),
    label_column: str | None = None,
    label_separator: str = SEPARATOR,
) -> Classifier:
    """Train on a data set and save the model.

    Args:
        data: A file, a folder, a hub id or `mini-news`, see `data.read_dataset`.
        out: The new model folder; None saves nothing.
        config: The settings; None takes the defaults of `Config`.
        vectors: A file of word vectors, or a downloaded name of the gensim list.
        time_budget: Seconds from now on in which the training should end: where they are too few for all that it would
            do, it does less, see `budget.py`; and no bag is trained for comparison.
        text_columns: The columns that hold the text, where their names do not tell.
        label_column: The column that holds the label.
        label_separator: Between several labels of a text that are one string; an empty one reads labels whole.

    Returns:
        The model, ready to answer. `artifact.metrics` holds its scores on validation and test, and a bag's.

    Raises:
        RubricaError: If the data, the vectors, the settings or the output folder cannot be used.
    """
    deadline = None if time_budget is None else time.perf_counter() + time_budget
    if out is not None:
        check_writable(out)  # before minutes of work, not after
    if not isinstance(data, Dataset):
        data = read_dataset(data, text_columns=text_columns, label_column=label_column, label_separator=label_separator)
    check_trainable(data)
    config = config or Config()
    corpus, artifact = train_dataset(data, vectors, config, deadline=deadline)
    scored = artifact.metrics.keys() & {"validation", "test"}
    if (
        scored
        and deadline is None
        and config.model.name not in ("bag", "linear")
        and not artifact.metrics["interrupted"]
    ):
        artifact.metrics["bag"] = _bag_accuracy(corpus, artifact.config, held_out="validation" in scored)
    if out is not None:
        save_artifact(artifact, out)
    return Classifier(artifact)


def train_dataset(
    data: Dataset,
    vectors: str | Path | Vectors | None,
    config: Config,
    weights: NDArray[np.float32] | None = None,
    deadline: float | None = None,
) -> tuple[Corpus, Artifact]:
    """Train on what was read, see `train`.

    Args:
        data: Its train split has at least two classes.
        vectors: A file of word vectors, or a downloaded name of the gensim list.
        config: The settings.
        weights: How much each text of train counts, above 0, (N,).
        deadline: When to be done, on the clock of `time.perf_counter`.

    Returns:
        The texts in numbers, and the model.
    """
    choose_trainer(config)  # says what is not installed before any work is done
    if config.model.name == "linear" and vectors is not None:
        raise ConfigError("a linear model reads no word vectors; leave them out, or take another model")
    if vectors is not None and not isinstance(vectors, Vectors):
        vectors = load_vectors(vectors)
    lowercase = follow_case(config.data, vectors, data.splits["train"].texts)
    config = replace(config, data=replace(config.data, lowercase=lowercase))
    if vectors is not None and config.model.extend_vectors and config.model.embedding == "pretrained":
        std, seed = config.model.embedding_std, config.training.seed
        vectors = extend_vectors(vectors, data.splits["train"].texts, config.data, std=std, seed=seed)
    corpus = build_corpus(data, vectors, config.data)
    if weights is not None:
        corpus.splits["train"] = replace(corpus.splits["train"], weights=weights)
    return corpus, train_corpus(corpus, vectors, config, title=config.model.name, deadline=deadline)


def train_corpus(
    corpus: Corpus, vectors: Vectors | None, config: Config, *, title: str, deadline: float | None = None
) -> Artifact:
    """Train one network and score it on validation and test, as the corpus has them.

    The seed sets the weights, the order of the texts and the part held out, so the whole can be repeated. What the held
    out part of train was for, the weights of the parts and the thresholds, is kept when the model is then trained
    anew on all of train, as it is where the part was a large one.
    """
    config = replace(config, data=replace(config.data, lowercase=corpus.vocab.lowercase))
    if vectors is not None:
        config = replace(config, model=replace(config.model, embedding_dim=vectors.dim))
        if config.model.name == "bag" and config.model.embedding == "pretrained":
            corpus = _with_all_words(corpus, vectors)
    train_split = corpus.splits["train"]
    if held_out := corpus.splits.get("validation"):
        rows, held_rows = np.arange(len(train_split.targets)), np.arange(len(held_out.targets))
    else:
        held_out = train_split
        fraction = min(config.data.validation_fraction, _MOST_HELD / len(train_split.targets))
        rows, held_rows = hold_out(train_split.targets, fraction, config.training.seed, train_split.keys)
        if fraction and not len(held_rows):
            log.warning("%s: %d texts are too few to hold some out; probabilities are not calibrated", title, len(rows))

    if config.training.class_weight == "balanced":
        weights_of = balanced_weights(train_split.targets, rows)
        if train_split.weights is not None:
            weights_of *= train_split.weights
        balanced = replace(train_split, weights=weights_of)
        corpus = replace(corpus, splits=corpus.splits | {"train": balanced})
    thresholds = [0.5] * len(corpus.labels) if corpus.several else None

    def validate(trained: Trained) -> tuple[float, float]:
        scores = _score(trained, corpus, held_out, held_rows, config, thresholds)
        return scores["loss"], metrics.main_score(scores)

    config = choose_length(config, len(rows))
    began, wanted = time.perf_counter(), config.model.name
    parts, config = train_parts(corpus, vectors, config, rows, validate if len(held_rows) else None, title, deadline)
    if config.model.name != wanted:
        vectors = None  # they were for a network that there was no time for
    weights = _UNCALIBRATED[: len(parts)] if len(parts) > 1 else (1.0,)
    if len(held_rows):
        judged = held_rows[:: -(-len(held_rows) // _CALIBRATED)]
        # A text's own weight counts here, too; what balances classes does not, and is not part of `held_out`.
        counts = None if held_out.weights is None else held_out.weights[judged]
        found = fit_weights([part.logits(held_out, judged) for part in parts], held_out.targets[judged], counts)
        weights = tuple(found.tolist())
    trained = join_parts(parts, weights, corpus, config)
    history = trained.history
    scores: dict[str, Any] = {
        "train_texts": len(rows),
        "steps": history.steps,
        "train_seconds": history.train_seconds,
        "interrupted": history.interrupted,
        "weights": dict(zip(config.model.parts, weights, strict=True)),
    }
    if len(held_rows):
        if corpus.several:
            stretches = _stretches(trained, held_out, held_rows, config)
            judged_sets = ((metrics.sigmoid(logits), targets) for _, logits, targets in stretches)
            thresholds = tune_thresholds(judged_sets, len(corpus.labels))
        scores["validation"] = _score(trained, corpus, held_out, held_rows, config, thresholds)
    took = time.perf_counter() - began
    if deadline is not None and not config.training.max_steps and took > _SPARE * (deadline - time.perf_counter()):
        # No time to learn what was held out; so the setting says, too, to whoever repeats this.
        total = config.training.epochs * -(-len(rows) // config.training.batch_size)
        config = replace(config, training=replace(config.training, max_steps=total))
    anew = held_out is train_split and not history.interrupted and not config.training.max_steps
    if anew and len(held_rows) > _NEGLIGIBLE * len(rows):
        everything = np.sort(np.concatenate([rows, held_rows]))
        again, _ = train_parts(
            corpus, vectors, config, everything, None, f"{title}, on all of train", deadline, planned=True
        )
        if any(part.history.interrupted for part in again):
            scores["interrupted"] = True  # the first model is kept
        else:
            whole = join_parts(again, weights, corpus, config)
            trained = Trained(whole.tensors, whole.logits, history)
            scores |= {"train_texts": len(everything), "refitted": True}
        scores["train_seconds"] += sum(part.history.train_seconds for part in again)
    if test := corpus.splits.get("test"):
        scores["test"] = _score(trained, corpus, test, np.arange(len(test.targets)), config, thresholds)
    return replace(build_artifact(trained, corpus, vectors, config, scores), thresholds=thresholds)


def balanced_weights(targets: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """What each text counts, (N,), so that the classes do alike: n / (C * texts of its class), as in scikit-learn.

    Where a text may have several labels, n counts them all, and a text is worth the mean of its own, or 1 without any.

    Args:
        targets: As in `corpus.Split`.
        rows: The texts to train on; they alone are counted.
    """
    counts = class_counts(targets, rows)
    by_class = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weights = make_array(len(targets), np.float32)
    for first in range(0, len(targets), _SCORED):
        part = targets[first : first + _SCORED]
        if targets.ndim == 2:
            own = part.sum(axis=1)
            weights[first : first + _SCORED] = np.where(own > 0, part @ by_class / np.maximum(own, 1), 1)
        else:
            weights[first : first + _SCORED] = by_class[part]
    return weights


def _bag_accuracy(corpus: Corpus, config: Config, *, held_out: bool) -> dict[str, float]:
    """Accuracy, or micro-F1, of a bag on the same validation and test texts: what a network has to be better than."""
    recipe = load_recipe("bag")
    data = config.data if held_out else replace(config.data, validation_fraction=0.0)
    settings = replace(recipe, data=data, training=replace(recipe.training, seed=config.training.seed))
    scores = train_corpus(corpus, None, settings, title="bag, for comparison").metrics
    return {split: metrics.main_score(scores[split]) for split in ("validation", "test") if split in scores}


def build_artifact(
    trained: Trained, corpus: Corpus, vectors: Vectors | None, config: Config, scores: dict[str, Any]
) -> Artifact:
    """What to save of a trained model.

    A table that began as pretrained vectors takes all of them along, trained rows and untouched ones, but for words
    that the tokenizer can never produce: a word that train lacked is still worth its vector.
    """
    vocab, tensors = corpus.vocab, trained.tensors
    if config.model.name == "linear":
        vocab = vocab.take(np.array([PAD_ID, vocab.unknown_id]))  # it looks no word up
    if vectors is not None and config.model.embedding == "pretrained":
        rows = _words_to_keep(corpus, vectors)
        table = pretrained_table(vectors)[rows]
        table[np.searchsorted(rows, corpus.rows)] = tensors["embedding.weight"]
        vocab = Vocab.from_vectors(vectors.words, lowercase=vocab.lowercase).take(rows)
        tensors = tensors | {"embedding.weight": table}
    source, storage = Path(vectors.source).name if vectors else None, config.training.storage
    tensors = store_tensors(tensors, storage)
    return Artifact(config, corpus.labels, vocab, tensors, scores, trained.history.records, source, storage)


def _words_to_keep(corpus: Corpus, vectors: Vectors) -> NDArray[np.int64]:
    """Places, among the words of the vectors, of those in use and those that some text may yet hold."""
    words, lowercase = vectors.words, corpus.vocab.lowercase
    keep = np.zeros(corpus.table_size, bool)
    keep[: len(words)] = [is_token(word) and (not lowercase or word == word.lower()) for word in words]
    keep[corpus.rows] = True
    return np.flatnonzero(keep)


def _with_all_words(corpus: Corpus, vectors: Vectors) -> Corpus:
    """The corpus in the numbers of the model to be saved: a bag's n-grams are hashed from them."""
    rows = _words_to_keep(corpus, vectors)
    places = np.searchsorted(rows, corpus.rows).astype(np.int32)
    vocab = Vocab.from_vectors(vectors.words, lowercase=corpus.vocab.lowercase).take(rows)
    splits = {}
    for name, split in corpus.splits.items():
        ids = make_array(len(split.tokens.ids), np.int32)
        np.take(places, split.tokens.ids, out=ids, mode="clip")  # "raise" would fill a copy first
        splits[name] = replace(split, tokens=TokenIds(ids, split.tokens.offsets))
    return Corpus(vocab, rows, corpus.table_size, corpus.labels, splits)


def _score(
    trained: Trained,
    corpus: Corpus,
    split: Split,
    rows: NDArray[np.int64],
    config: Config,
    thresholds: list[float] | None = None,
) -> dict[str, Any]:
    """Scores of some texts, see `metrics.score`, or with thresholds `metrics.score_sets`; a stretch at a time."""
    num_classes = len(corpus.labels)
    counts = np.zeros((num_classes, num_classes) if thresholds is None else (3, num_classes), np.int64)
    losses, exact = make_array(len(rows), np.float64), 0
    for first, logits, targets in _stretches(trained, split, rows, config):
        if thresholds is None:
            counts += metrics.confusion_matrix(targets, logits.argmax(axis=1), num_classes)
            found = metrics.cross_entropy(logits, targets)
        else:
            answers = metrics.chosen(logits, thresholds)
            counts += metrics.set_counts(targets, answers)
            exact += int((answers == targets).all(axis=1).sum())
            found = metrics.binary_cross_entropy(logits, targets)
        losses[first : first + len(found)] = found
    mean_loss = {"mean_batch_loss": metrics.mean_batch_loss(losses, config.training.batch_size)}
    if thresholds is None:
        return metrics.summarize(counts, losses, corpus.labels) | mean_loss
    return metrics.summarize_sets(counts, exact, losses, corpus.labels) | mean_loss


def _stretches(
    trained: Trained, split: Split, rows: NDArray[np.int64], config: Config
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[Any]]]:
    """Yield place, logits and targets of some texts at a time; of whole batches: where padding is read, they matter."""
    batch_size = config.training.batch_size
    stretch = batch_size * max(1, _SCORED // batch_size)
    for first in range(0, len(rows), stretch):
        part = rows[first : first + stretch]
        yield first, trained.logits(split, part), split.targets[part]
