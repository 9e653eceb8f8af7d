"""Whether texts are lower-cased, and how scripts without spaces are split: decided once, before words get numbers."""

import logging
from collections.abc import Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings
from rubrica.text.tokenizer import is_unspaced
from rubrica.text.tokens import WordCounter
from rubrica.text.vocab import compose_words
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_SHOWN = 1 << 10  # texts that are looked at for scripts without spaces
_OFTEN = 0.05  # of them; fewer, such as news that quote a Chinese name, are not worth a line
_SAMPLE_TEXTS, _SAMPLES = 1 << 10, 64  # that show what vectors know


def settle_reading(settings: DataSettings, vectors: Vectors | None, texts: Sequence[str]) -> DataSettings:
    """The settings with `lowercase` and `split_unspaced` true or false in place of "auto".

    With vectors, texts are read in the way in which the vectors know more of their tokens. Only samples of a large
    train are read. Without vectors, or if both cases are equally well known, texts are lower-cased: this leaves fewer
    different words, and each is more frequent. Without vectors, scripts without spaces are split; if both ways are
    equally well known, they are not.
    """
    lowercase, split_unspaced = settings.lowercase, settings.split_unspaced
    if "auto" in (lowercase, split_unspaced) and vectors is not None:
        known = set(compose_words(vectors.words))
        if lowercase == "auto":
            lowercase = _knows_more_lowercased(vectors, known, texts)
        if split_unspaced == "auto":
            split_unspaced = _knows_more_split(vectors, known, texts, lowercase)
    lowercase, split_unspaced = (True if setting == "auto" else setting for setting in (lowercase, split_unspaced))
    return structs.replace(settings, lowercase=lowercase, split_unspaced=split_unspaced)


def tell_unspaced(texts: Sequence[str], *, split: bool) -> None:
    """Say what is done with texts in a script without spaces, where more than a few are in one."""
    shown = [texts[place] for place in range(0, len(texts), max(1, len(texts) // _SHOWN))]
    found = [text for text in shown if not text.isascii() and is_unspaced(text)]
    if len(found) < _OFTEN * len(shown) or not found:
        return
    share = f"{100 * len(found) / len(shown):.0f}% of the texts are in a script without spaces"
    if split:
        log.info("%s: each of its characters is a token (data.split_unspaced)", share)
    else:
        log.info("%s: a sentence is one token; data.split_unspaced=true makes each of its characters one", share)


def _knows_more_lowercased(vectors: Vectors, known: set[str], texts: Sequence[str]) -> bool:
    words, counts = _count(texts, split_unspaced=False)
    total = max(1, int(counts.sum()))
    written = int(counts[[word in known for word in words]].sum()) / total
    lowered = int(counts[[word.lower() in known for word in words]].sum()) / total
    lowercase = lowered >= written
    log.info(
        "%s: knows %.1f%% of train's tokens as written, %.1f%% lower-cased; %s",
        vectors.source, 100 * written, 100 * lowered, "texts are lower-cased" if lowercase else "the case is kept",
    )  # fmt: skip
    return lowercase


def _knows_more_split(vectors: Vectors, known: set[str], texts: Sequence[str], lowercase: bool) -> bool:
    found = [_count(texts, split_unspaced=split_unspaced) for split_unspaced in (False, True)]
    if found[0][0] == found[1][0]:  # no such script
        return False
    whole, split = (
        int(counts[[(word.lower() if lowercase else word) in known for word in words]].sum()) / int(counts.sum())
        for words, counts in found
    )
    log.info(
        "%s: knows %.1f%% of train's tokens with sentences without spaces whole, %.1f%% with each character alone; %s",
        vectors.source, 100 * whole, 100 * split, "they are split" if split > whole else "they stay whole",
    )  # fmt: skip
    return split > whole


def _count(texts: Sequence[str], *, split_unspaced: bool) -> tuple[list[str], NDArray[np.int64]]:
    """The words of samples of the texts, as they are written, and how often each occurs."""
    counter = WordCounter(lowercase=False, max_length=1, split_unspaced=split_unspaced)
    for first in range(0, len(texts), max(_SAMPLE_TEXTS, len(texts) // _SAMPLES)):
        counter.add(texts[first : first + _SAMPLE_TEXTS])
    return counter.words()
