"""Padding that is read as words: a text's answer then depends on the texts beside it.

Letters: B texts, C classes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.findings import Finding, Phrase
from rubrica.insight.model_checks.subject import Subject
from rubrica.models.family import Inputs
from rubrica.text.tokenizer import is_token
from rubrica.text.vocab import PAD_ID

if TYPE_CHECKING:
    from rubrica.networks.probe import Inside

_TEXTS = 512  # that are answered twice
_ROUNDING = 1e-4  # of a probability; in other company the sums of a text are rounded otherwise, by a millionth
_MANY = 0.02  # of the answers: more than what separates two models
_SHOWN = 3
_MADE_UP = "<pad>"  # the first word of a vocabulary made from texts


def find_padding(subject: Subject) -> Iterator[Finding]:
    """Answers that change with the length of the other texts of a batch."""
    sample, task = subject.seen, subject.model.task
    if not subject.ensemble.reads_words or subject.ensemble.search is not None:
        return
    texts = sample.texts[:_TEXTS]
    tokens = subject.ensemble.read(texts, subject.model.artifact.vocab)
    logits = [
        subject.ensemble.sum(Inputs(tokens, texts, size))
        for size in (max(2, subject.model.config.training.batch_size), 1)
    ]
    moved = np.abs(task.probabilities(logits[0]) - task.probabilities(logits[1])).max(axis=1)
    answers = list(map(task.decide, logits))
    changed = np.array([here != there for here, there in zip(*answers, strict=True)])
    if moved.mean() < _ROUNDING and not _reaches_loss(subject):
        return
    padded = _share_of_padding(subject)
    places = np.argsort(-moved, kind="stable")[: _SHOWN if changed.any() else 0]
    yield Finding(
        kind="padding-read",
        severity="error" if changed.mean() > _MANY else "warning",
        title=f"{padded:.0%} of what the model reads is padding; {changed.mean():.1%} of the answers change when a "
        "text is read alone",
        why="Padding is read as words: the score of a text depends on the longest text beside it, and the state "
        "runs over steps that say nothing.",
        remedy="--set model.mask_padding=true --set training.similar_lengths=true",
        figures={
            "answers_changed": float(changed.mean()),
            "probability_moved": float(moved.mean()),
            "share_of_padding": padded,
        },
        rows=tuple(
            sample.row(i, Phrase("in a batch {}, alone {}", answers[0][i], answers[1][i])) for i in places.tolist()
        ),
    )
    yield from _shared_id(subject)


def _reaches_loss(subject: Subject) -> bool:
    """Whether the loss depends on the vectors of padded steps, however little; with a mask it is exactly 0."""
    inside = subject.inside
    return inside is not None and bool((inside.to_words > 0)[_is_padding(inside)].any())


def _share_of_padding(subject: Subject) -> float:
    inside = subject.inside
    return 0.0 if inside is None else float(_is_padding(inside).mean())


def _is_padding(inside: "Inside") -> NDArray[np.bool_]:
    """True at the padded steps, (B, T)."""
    return np.asarray(np.arange(inside.to_words.shape[1]) >= inside.lengths[:, None])


def _shared_id(subject: Subject) -> Iterator[Finding]:
    vocab, sample = subject.model.artifact.vocab, subject.seen
    word = vocab.words[PAD_ID]
    if word == _MADE_UP:
        return
    tokens = subject.encode(sample, _TEXTS)
    count = int(np.count_nonzero(tokens.ids == PAD_ID))
    occurs = is_token(word, split_unspaced=vocab.split_unspaced)
    heard = f"it occurs {count:,} times in {len(tokens):,} texts" if occurs else "no text can hold it"
    yield Finding(
        kind="padding-is-word",
        severity="error" if count else "warning",
        title=f"Padding has the id and the vector of the word {word!r}; {heard}",
        why="Each padded step says this word once more, and the word itself cannot be told from the end of a text.",
        remedy="--set model.mask_padding=true",
        figures={"word": word, "occurrences": count},
    )
