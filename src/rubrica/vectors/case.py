"""Whether texts are lower-cased: asked once, before they are numbered."""

import logging
from collections.abc import Sequence

from rubrica.config.settings import DataConfig
from rubrica.text.tokens import WordCounter
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_CASE, _CASES = 1 << 10, 64  # texts that are read together, and how often, to see what their case says to vectors


def follow_case(config: DataConfig, vectors: Vectors | None, texts: Sequence[str]) -> bool:
    """Whether to lower-case texts, as the config says; where it leaves that open, as the vectors know more tokens.

    Without vectors, and where both are alike, yes: the words of few texts are then fewer and more frequent.

    Args:
        config: `lowercase` is read.
        vectors: Their words are looked up.
        texts: Those of train; of many, some from all over are read.
    """
    if config.lowercase != "auto":
        return config.lowercase
    if vectors is None:
        return True
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
