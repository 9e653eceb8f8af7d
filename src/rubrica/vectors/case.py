"""Whether texts are lower-cased: asked once, before they are numbered."""

import logging
from collections.abc import Sequence

from msgspec import structs

from rubrica.config.groups import DataSettings
from rubrica.text.tokens import WordCounter
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_CASE, _CASES = 1 << 10, 64  # texts that are read together, and how often, to see what their case says to vectors


def settle_case(settings: DataSettings, vectors: Vectors | None, texts: Sequence[str]) -> DataSettings:
    """The settings with `lowercase` true or false: where "auto" leaves it open, as the vectors know more tokens.

    Without vectors, and where both are alike, texts are lower-cased: the words of few texts are then fewer and more
    frequent.

    Args:
        settings: `lowercase` is read.
        vectors: Their words are looked up.
        texts: Of train; of many, some from all over are read.
    """
    lowercase = settings.lowercase
    if lowercase == "auto":
        lowercase = vectors is None or _knows_more_lowercased(vectors, texts)
    return structs.replace(settings, lowercase=lowercase)


def _knows_more_lowercased(vectors: Vectors, texts: Sequence[str]) -> bool:
    counter = WordCounter(lowercase=False, max_length=1)
    starts = range(0, len(texts), max(_CASE, len(texts) // _CASES))
    for first in starts:
        counter.add(texts[first : first + _CASE])
    words, counts = counter.words()
    known = set(vectors.words)
    total = max(1, int(counts.sum()))
    written = int(counts[[word in known for word in words]].sum()) / total
    lowered = int(counts[[word.lower() in known for word in words]].sum()) / total
    lowercase = lowered >= written
    log.info(
        "%s: knows %.1f%% of train's tokens as written, %.1f%% lower-cased; %s",
        vectors.source, 100 * written, 100 * lowered, "texts are lower-cased" if lowercase else "the case is kept",
    )  # fmt: skip
    return lowercase
