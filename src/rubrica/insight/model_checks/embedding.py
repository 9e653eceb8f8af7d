"""Word vectors that did not move, that are all alike, and words that the model does not know.

Letters: N words that are looked at, E numbers in a word vector.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.findings import Finding, Phrase, Row
from rubrica.insight.model_checks.subject import Subject
from rubrica.models.storage import take_rows
from rubrica.scoring.task import Floats, Rows
from rubrica.text.tokenizer import tokenize
from rubrica.text.vocab import PAD_ID, Vocab

_TEXTS = 2000  # whose words are looked at
_WORDS = 200  # the most frequent ones: each was in many updates
_STILL = 0.9995  # cosine: 3 % of the length have moved; to store a table as int8 moves a row by 1 %
_ALIKE = 0.9  # mean cosine; word vectors of large corpora have up to 0.5
_UNKNOWN, _MOSTLY_UNKNOWN = 0.3, 0.5  # of the tokens; a vocabulary of 1,000 short texts lacks a quarter, in Russian 0.4
_CAPITALS = 0.02  # of the tokens are known in lower case alone; a few are names that are words, too
_SHOWN = 3


def find_still(subject: Subject) -> Iterator[Finding]:
    """Frequent words whose vectors are where they started."""
    if (found := _frequent(subject)) is None:
        return
    words, rows = found
    table, start = take_rows(subject.tensors, "embedding.weight", rows), _start(subject, words, rows)
    if start is None:
        return
    lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(table, axis=1)
    there = lengths > 0
    if there.sum() < min(20, len(words) // 2):
        return
    cosines = (start * table).sum(axis=1)[there] / lengths[there]
    still = float((cosines > _STILL).mean())
    if still < 0.5:
        return
    yield Finding(
        kind="embedding-still",
        severity="warning",
        title=f"{still:.0%} of the {len(words)} most frequent words have the vectors that they started with",
        why="The table did not learn: what the task needs to know of a word cannot get into its vector.",
        remedy="--set training.freeze_steps=0 --set training.freeze_epochs=0",
        figures={"still": still, "median_cosine": float(np.median(cosines))},
    )


def find_collapsed(subject: Subject) -> Iterator[Finding]:
    """Word vectors that all point one way, or are all zero."""
    if (found := _frequent(subject)) is None:
        return
    _, rows = found
    table = take_rows(subject.tensors, "embedding.weight", rows).astype(np.float64)
    lengths = np.linalg.norm(table, axis=1)
    zeros = float((lengths <= 1e-6 * max(1e-6, lengths.max())).mean())
    units = table / np.maximum(lengths, 1e-12)[:, None]
    number = len(units)
    cosine = float((np.square(units.sum(axis=0)).sum() - number) / max(1, number * (number - 1)))
    if cosine < _ALIKE and zeros < 0.5:
        return
    what = f"{zeros:.0%} are zero" if zeros >= 0.5 else f"their mean cosine is {cosine:.2f}"
    yield Finding(
        kind="embedding-collapsed",
        severity="error",
        title=f"The vectors of the {number} most frequent words are nearly one: {what}",
        why="The network cannot tell words apart, so it can learn little but the length of a text.",
        remedy="--set model.embedding=random",
        figures={"mean_cosine": cosine, "zero_rows": zeros, "effective_rank": _effective_rank(table)},
    )


def _effective_rank(table: Floats) -> float:
    """How many directions the vectors use: the participation ratio of the variances along the main directions."""
    variances = np.square(np.linalg.svd(table - table.mean(axis=0), compute_uv=False))
    return float(variances.sum() ** 2 / max(np.square(variances).sum(), 1e-300))


def _frequent(subject: Subject) -> tuple[list[str], Rows] | None:
    """The most frequent words that the model knows, and their rows."""
    vocab = subject.model.artifact.vocab
    if "embedding.weight" not in subject.tensors or not subject.model.config.model.reads_words:
        return None
    ids = subject.encode(subject.train or subject.seen, _TEXTS).ids
    counts = np.bincount(ids, minlength=len(vocab.words))
    counts[[PAD_ID, vocab.unknown_id]] = 0
    rows = np.argsort(-counts, kind="stable")[:_WORDS]
    rows = rows[counts[rows] > 2]
    return ([vocab.words[row] for row in rows.tolist()], rows) if len(rows) > 2 else None


def _start(subject: Subject, words: list[str], rows: Rows) -> NDArray[np.float32] | None:
    """Where the vectors of some words started, but for their scale; None where nobody knows.

    A table that starts at random is drawn once more. If its seed led to another table, all cosines are near 0.
    """
    config, artifact = subject.model.config, subject.model.artifact
    if artifact.vectors is not None and subject.vectors is None:
        return None
    if config.model.starts_at_vectors and subject.vectors is not None:
        return subject.vectors.of(words)
    if subject.network is None or artifact.vectors is not None or artifact.metrics.get("continued"):
        return _start_among(subject, words)
    from rubrica.learning.start import drawn_start  # late: it imports torch

    return drawn_start(config, rows, len(artifact.vocab.words))


def _start_among(subject: Subject, words: list[str]) -> NDArray[np.float32] | None:
    """The start of a table that is drawn at random for the words of given vectors."""
    if subject.network is None or subject.vectors is None:
        return None
    from rubrica.learning.start import drawn_start

    vocab = Vocab.from_vectors(subject.vectors.words, lowercase=False)
    rows = np.array([vocab.index.get(word, -1) for word in words])
    start = drawn_start(subject.model.config, np.maximum(rows, 0), len(vocab.words))
    start[rows < 0] = 0.0
    return start


def find_unknown(subject: Subject) -> Iterator[Finding]:
    """Words that the model reads as unknown: because of their capitals, or altogether."""
    vocab, sample, config = subject.model.artifact.vocab, subject.seen, subject.model.config
    if not config.model.reads_words or config.model.spells_words or not len(sample):
        return
    tokens = [
        tokenize(text, split_unspaced=vocab.split_unspaced)[: config.data.max_length] for text in sample.texts[:_TEXTS]
    ]
    counts = Counter(chain.from_iterable(tokens))
    total = max(1, counts.total())
    lost = Counter({word: count for word, count in counts.items() if _read(word, vocab) not in vocab.index})
    written = lost.total() / total
    lowered = sum(count for word, count in counts.items() if word.lower() not in vocab.index) / total
    figures = {"unknown": written, "unknown_lowercased": lowered, "words": lost.most_common(10)}
    capitals = Counter({word: count for word, count in lost.items() if word.lower() in vocab.index})
    rows = _most_unknown(subject, tokens, lost)
    if capitals.total() / total > _CAPITALS:
        names = ", ".join(word for word, _ in capitals.most_common(5))
        yield Finding(
            kind="capitals-unknown",
            severity="error" if written > _UNKNOWN else "warning",
            title=f"{written:.0%} of the tokens are unknown, {lowered:.0%} in lower case",
            why=f"The model knows words in lower case alone, and reads each word with a capital ({names}) as one "
            "and the same unknown word.",
            remedy="--set data.lowercase=true",
            figures=figures,
            rows=rows,
        )
    if min(written, lowered) > _UNKNOWN:
        yield Finding(
            kind="unknown-words",
            severity="warning" if min(written, lowered) > _MOSTLY_UNKNOWN else "note",
            title=f"{min(written, lowered):.0%} of the tokens are unknown, whatever their case",
            why="The model reads all of them as one word, and what they say is lost.",
            remedy="Give vectors of the texts' language (--vectors), or take a model of characters (--model linear).",
            figures=figures,
            rows=rows,
        )


def _read(word: str, vocab: Vocab) -> str:
    return word.lower() if vocab.lowercase else word


def _most_unknown(subject: Subject, tokens: list[list[str]], lost: Counter[str]) -> tuple[Row, ...]:
    """The texts with the largest share of unknown words."""
    shares = [sum(word in lost for word in words) / max(1, len(words)) for words in tokens]
    places = np.argsort(-np.array(shares), kind="stable")[:_SHOWN].tolist()
    return tuple(subject.seen.row(place, Phrase("{:.0%} unknown", shares[place])) for place in places if shares[place])
