"""Whether texts are lower-cased: decided once, before words get their numbers."""

import logging
from collections.abc import Sequence

from msgspec import structs

from rubrica.config.groups import DataSettings
from rubrica.text.tokens import WordCounter
from rubrica.text.vocab import compose_words
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_SAMPLE_TEXTS, _SAMPLES = 1 << 10, 64  # that show whether vectors know capitals


def settle_case(settings: DataSettings, vectors: Vectors | None, texts: Sequence[str]) -> DataSettings:
    """The settings with `lowercase` true or false in place of "auto".

    With vectors, texts get the case in which the vectors know more of their tokens. Only samples of a large train are
    read. Without vectors, or if both cases are equally well known, texts are lower-cased: this leaves fewer different
    words, and each is more frequent.
    """
    if settings.lowercase != "auto":
        return settings
    return structs.replace(settings, lowercase=vectors is None or _knows_more_lowercased(vectors, texts))


def _knows_more_lowercased(vectors: Vectors, texts: Sequence[str]) -> bool:
    counter = WordCounter(lowercase=False, max_length=1)
    for first in range(0, len(texts), max(_SAMPLE_TEXTS, len(texts) // _SAMPLES)):
        counter.add(texts[first : first + _SAMPLE_TEXTS])
    words, counts = counter.words()
    known = set(compose_words(vectors.words))
    total = max(1, int(counts.sum()))
    written = int(counts[[word in known for word in words]].sum()) / total
    lowered = int(counts[[word.lower() in known for word in words]].sum()) / total
    lowercase = lowered >= written
    log.info(
        "%s: knows %.1f%% of train's tokens as written, %.1f%% lower-cased; %s",
        vectors.source, 100 * written, 100 * lowered, "texts are lower-cased" if lowercase else "the case is kept",
    )  # fmt: skip
    return lowercase
