"""The road from texts to a saved model: read, number, build, fit, score, save.

Letters: N texts, C classes, V words in use, W words of the vectors, E numbers in a word vector.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica import metrics
from rubrica.artifact import Artifact, check_writable, save_artifact
from rubrica.config import Config
from rubrica.corpus import Corpus, Split, build_corpus, hold_out, pretrained_table
from rubrica.data import Dataset, check_trainable, read_dataset
from rubrica.loop import History, choose_device, compute_logits, fit, seed_everything
from rubrica.models import build_model
from rubrica.runtime import Classifier
from rubrica.tokenizer import is_token
from rubrica.vectors import Vectors, load_vectors
from rubrica.vocab import Vocab


def train(
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    config: Config | None = None,
    vectors: str | Path | Vectors | None = None,
    text_columns: tuple[str, ...] = (),
    label_column: str | None = None,
) -> Classifier:
    """Train on a data set and save the model.

    Args:
        data: A file, a folder, a hub id or `mini-news`, see `data.read_dataset`.
        out: The new model folder; None saves nothing.
        config: The settings; None takes the defaults of `Config`.
        vectors: A file of word vectors, or a downloaded name of the gensim list.
        text_columns: The columns that hold the text, where their names do not tell.
        label_column: The column that holds the label.

    Returns:
        The model, ready to answer. `artifact.metrics` holds its scores on validation and test.

    Raises:
        RubricaError: If the data, the vectors, the settings or the output folder cannot be used.
    """
    if out is not None:
        check_writable(out)  # before minutes of work, not after
    if not isinstance(data, Dataset):
        data = read_dataset(data, text_columns=text_columns, label_column=label_column)
    check_trainable(data)
    if vectors is not None and not isinstance(vectors, Vectors):
        vectors = load_vectors(vectors)
    config = config or Config()
    corpus = build_corpus(data, vectors, config.data)
    artifact = train_corpus(corpus, vectors, config, title=config.model.name)
    if out is not None:
        save_artifact(artifact, out)
    return Classifier(artifact)


def train_corpus(corpus: Corpus, vectors: Vectors | None, config: Config, *, title: str) -> Artifact:
    """Train one network and score it on validation and test, as the corpus has them.

    The seed sets the weights, the order of the texts and the part held out, so the whole can be repeated.
    """
    if vectors is not None:
        config = replace(config, model=replace(config.model, embedding_dim=vectors.dim))
    seed_everything(config.training.seed)
    model = build_model(config.model, initial_table(corpus, vectors, config), len(corpus.labels))
    model.to(choose_device(config.training.device))
    train_split = corpus.splits["train"]
    rows = np.arange(len(train_split.targets))
    if held_out := corpus.splits.get("validation"):
        held_rows = np.arange(len(held_out.targets))
    else:
        held_out = train_split
        rows, held_rows = hold_out(train_split.targets, config.data.validation_fraction, config.training.seed)

    def validate() -> tuple[float, float]:
        scores = _score(model, corpus, held_out, held_rows, config)
        return scores["loss"], scores["accuracy"]

    history = fit(model, train_split, rows, config, validate=validate if len(held_rows) else None, title=title)
    scores: dict[str, Any] = {
        "train_texts": len(rows),
        "steps": len(history.losses),
        "train_seconds": history.train_seconds,
        "interrupted": history.interrupted,
    }
    if len(held_rows):
        scores["validation"] = _score(model, corpus, held_out, held_rows, config)
    if test := corpus.splits.get("test"):
        scores["test"] = _score(model, corpus, test, np.arange(len(test.targets)), config)
    return build_artifact(model, corpus, vectors, config, scores, history)


def initial_table(corpus: Corpus, vectors: Vectors | None, config: Config) -> Float[Tensor, "V E"]:
    """The rows in use of the embedding table before training."""
    if vectors is not None and config.model.embedding == "pretrained":
        return torch.from_numpy(pretrained_table(vectors)[corpus.rows])
    # The whole table is drawn, then the rows in use are taken: these are the very numbers that the seminar's
    # nn.Embedding(W, E) starts from, and every later draw is the same too.
    return torch.empty(corpus.table_size, config.model.embedding_dim).normal_()[torch.from_numpy(corpus.rows)]


def build_artifact(
    model: nn.Module,
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    scores: dict[str, Any],
    history: History,
) -> Artifact:
    """What to save of a trained model.

    A table that began as pretrained vectors takes all of them along, trained rows and untouched ones, but for words
    that the tokenizer can never produce: a word that train lacked is still worth its vector.
    """
    tensors = {
        name: tensor.float().cpu().numpy()
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")  # counts updates; says nothing at prediction
    }
    vocab = corpus.vocab
    if vectors is not None and config.model.embedding == "pretrained":
        vocab, tensors["embedding.weight"] = _whole_table(corpus, vectors, tensors["embedding.weight"])
    return Artifact(
        config, corpus.labels, vocab, tensors, scores, history.records, Path(vectors.source).name if vectors else None
    )


def _whole_table(corpus: Corpus, vectors: Vectors, trained: NDArray[np.float32]) -> tuple[Vocab, NDArray[np.float32]]:
    vocab = Vocab.from_vectors(vectors.words, lowercase=corpus.vocab.lowercase)
    keep = np.fromiter((is_token(word) and (not vocab.lowercase or word == word.lower()) for word in vocab.words), bool)
    keep[corpus.rows] = True
    rows = np.flatnonzero(keep)
    table = pretrained_table(vectors)[rows]
    table[np.searchsorted(rows, corpus.rows)] = trained
    return vocab.take(rows), table


def _score(model: nn.Module, corpus: Corpus, split: Split, rows: NDArray[np.int64], config: Config) -> dict[str, Any]:
    logits, targets = compute_logits(model, split, rows, config), split.targets[rows]
    losses = metrics.cross_entropy(logits, targets)
    batch_loss = metrics.mean_batch_loss(losses, config.training.batch_size)
    return metrics.score(logits, targets, corpus.labels) | {"mean_batch_loss": batch_loss}
