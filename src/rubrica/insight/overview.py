"""What is in a data set, as the seminar looked at it first: rows, classes, texts, tokens, ids, unknown words."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from rubrica.config.groups import DataSettings
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Dataset, Examples
from rubrica.data.labels import as_list
from rubrica.scoring.task import Label
from rubrica.text.tokenizer import tokenize
from rubrica.text.vocab import TokenIds, Vocab
from rubrica.vectors.case import settle_reading
from rubrica.vectors.subwords import vectors_for
from rubrica.vectors.word_vectors import Vectors


def describe(dataset: Dataset, vectors: Vectors | None, config: DataSettings) -> dict[str, Any]:
    """Facts about a data set, ready to print or for JSON.

    The share of unknown words is counted twice, as the texts are written and lower-cased, since the difference
    tells whether the vectors know capitals. Of vectors with subwords, words that a training takes along are known.
    """
    first, file = next(iter(dataset.splits.values())), vectors
    if vectors is not None:
        config = settle_reading(config, vectors, first.texts)
        vectors = vectors_for(vectors, first.texts, config)
    corpus = build_corpus(dataset, vectors, config)
    vocab = corpus.vocab
    if vectors is not None:
        vocab = Vocab.from_vectors(vectors.words, lowercase=vocab.lowercase, split_unspaced=vocab.split_unspaced)
    facts: dict[str, Any] = {
        "name": dataset.name,
        "text_columns": list(dataset.text_columns),
        "label_column": dataset.label_column,
        "labels": list(dataset.task.labels),
        "problem_type": dataset.task.problem_type,
        "splits": {name: _split(split, corpus.splits[name].tokens) for name, split in dataset.splits.items()},
        "lowercase": vocab.lowercase,
        "split_unspaced": vocab.split_unspaced,
        "max_length": config.max_length,
        "vocabulary": len(vocab.words),
        "examples": [_example(*row, vocab, config) for row in zip(first.texts[:3], _labels(first, 3), strict=True)],
        "unknown": {name: _unknown(vocab, examples.texts, config) for name, examples in dataset.splits.items()},
    }
    if file is not None:
        facts["vectors"] = {
            "source": file.source,
            "words": len(file.words),
            "dim": file.dim,
            "first_words": file.words[:10],
        }
    return facts


def _split(examples: Examples, tokens: TokenIds) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if examples.soft is not None and examples.soft.is_regression and len(examples.texts):
        scores = examples.soft.probabilities[:, 1].astype(float)
        facts = {"scores": {"mean": float(scores.mean()), "standard_deviation": float(scores.std())}}
    return facts | {
        "rows": len(examples.texts),
        "labels": dict(Counter(chain.from_iterable(map(as_list, examples.labels)))),
        "tokens": int(tokens.lengths.sum()),
        "tokens_per_text": float(tokens.lengths.mean()),
    }


def _labels(examples: Examples, count: int) -> list[Label]:
    """The first labels; of a regression the scores."""
    if examples.soft is not None and examples.soft.is_regression:
        return [f"{score:g}" for score in examples.soft.probabilities[:count, 1].tolist()]
    return list(examples.labels[:count])


def _example(text: str, label: Label, vocab: Vocab, config: DataSettings) -> dict[str, Any]:
    tokens, ids = vocab.tokenize(text)[: config.max_length], vocab.encode([text], config.max_length).ids.tolist()
    return {"text": text, "label": label, "tokens": tokens, "ids": ids}


def _unknown(vocab: Vocab, texts: Sequence[str], config: DataSettings) -> dict[str, Any]:
    """The share of tokens without an id, as written and lower-cased, and the most frequent that the model meets."""
    facts: dict[str, Any] = {}
    for name, lowercase in (("share_as_written", False), ("share_lowercased", True)):
        rule = {"lowercase": lowercase, "split_unspaced": vocab.split_unspaced}
        tokens = (tokenize(text, **rule)[: config.max_length] for text in texts)
        counts = Counter(chain.from_iterable(tokens))
        unknown = Counter({word: count for word, count in counts.items() if word not in vocab.index})
        facts[name] = unknown.total() / max(1, counts.total())
        if lowercase == vocab.lowercase:
            facts["words"] = unknown.most_common(15)
    return facts
