"""What is in a data set, as the seminar looked at it first: rows, classes, texts, tokens, ids, unknown words."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from rubrica.config.groups import DataSettings
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Dataset
from rubrica.scoring.task import Label
from rubrica.text.tokenizer import tokenize
from rubrica.text.vocab import Vocab
from rubrica.vectors.word_vectors import Vectors


def describe(dataset: Dataset, vectors: Vectors | None, config: DataSettings) -> dict[str, Any]:
    """Facts about a data set, ready to print or for JSON.

    The share of unknown words is counted twice, as the texts are written and lower-cased, since the difference
    tells whether the vectors know capitals.
    """
    corpus = build_corpus(dataset, vectors, config)
    lengths = {name: split.tokens.lengths for name, split in corpus.splits.items()}
    facts: dict[str, Any] = {
        "name": dataset.name,
        "text_columns": list(dataset.text_columns),
        "label_column": dataset.label_column,
        "labels": list(dataset.task.labels),
        "problem_type": dataset.task.problem_type,
        "splits": {
            name: {
                "rows": len(examples.texts),
                "labels": _count(examples.labels),
                "tokens": int(lengths[name].sum()),
                "tokens_per_text": float(lengths[name].mean()),
            }
            for name, examples in dataset.splits.items()
        },
        "lowercase": corpus.vocab.lowercase,
        "max_length": config.max_length,
    }
    vocab = corpus.vocab
    if vectors is not None:
        vocab = Vocab.from_vectors(vectors.words, lowercase=vocab.lowercase)
        facts["vectors"] = {
            "source": vectors.source,
            "words": len(vectors.words),
            "dim": vectors.dim,
            "first_words": vectors.words[:10],
        }
    facts["vocabulary"] = len(vocab.words)
    first = next(iter(dataset.splits.values()))
    facts["examples"] = [
        _example(text, label, vocab, config) for text, label in zip(first.texts[:3], first.labels[:3], strict=True)
    ]
    facts["unknown"] = {name: _unknown(vocab, examples.texts, config) for name, examples in dataset.splits.items()}
    return facts


def _count(labels: Sequence[Label]) -> dict[str, int]:
    return dict(Counter(chain.from_iterable((label,) if isinstance(label, str) else label for label in labels)))


def _example(text: str, label: Label, vocab: Vocab, config: DataSettings) -> dict[str, Any]:
    tokens = vocab.tokenize(text)[: config.max_length]
    return {
        "text": text,
        "label": label if isinstance(label, str) else list(label),
        "tokens": tokens,
        "ids": [vocab.index.get(token, vocab.unknown_id) for token in tokens],
    }


def _unknown(vocab: Vocab, texts: Sequence[str], config: DataSettings) -> dict[str, Any]:
    """The share of tokens without an id, as written and lower-cased, and the most frequent that the model meets."""
    facts: dict[str, Any] = {}
    for name, lowercase in (("share_as_written", False), ("share_lowercased", True)):
        tokens = (tokenize(text.lower() if lowercase else text)[: config.max_length] for text in texts)
        counts = Counter(chain.from_iterable(tokens))
        unknown = Counter({word: count for word, count in counts.items() if word not in vocab.index})
        facts[name] = unknown.total() / max(1, counts.total())
        if lowercase == vocab.lowercase:
            facts["words"] = unknown.most_common(15)
    return facts
