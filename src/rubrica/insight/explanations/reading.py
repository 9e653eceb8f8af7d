"""A text as each member of a model reads it, and what the members say of it with some of its tokens left out.

To leave a token out is to take it out of the sequence of tokens: of a text in numbers its number goes, and in a text of
characters a space stands in its place, so that its neighbours stay two tokens. What lies beyond the limit of what a
member reads is out already, and does not move up.

Letters: N ways to leave tokens out, T tokens of the text, C classes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce, singledispatch
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.config.groups import DataSettings
from rubrica.insight.explanations.places import Read, Token, read_words
from rubrica.kernels.fasttext_rules import END
from rubrica.models.ensemble import Ensemble
from rubrica.models.family import Family, Floats, Inputs, Scorer
from rubrica.models.fasttext import FastText
from rubrica.models.linear import Linear
from rubrica.models.search import as_finite
from rubrica.models.storage import Tensors
from rubrica.progress import progress_bar
from rubrica.text.ngrams import MAX_CHARACTERS, MAX_TOKENS
from rubrica.text.vocab import TokenIds

Kept = NDArray[np.bool_]
"""Which tokens are left, (N, T)."""

_TOKENS, _LOGITS = 1 << 18, 1 << 22  # in memory together, about; a state of 64 numbers for each token takes 64 MB
_FASTTEXT_TOKEN = re.compile(r"[^ \n\r\t\v\f\0]+")  # fastText splits at these characters alone


@dataclass(frozen=True)
class Part:
    """One member of a model and the text that it reads.

    Args:
        settings: The member's family.
        data: How the model reads texts.
        tensors: The weights of the model.
        score: From texts to logits.
        read: The text as this member reads it.
        spans: Where the T tokens of the whole model stand in it.
        count: How many of the T tokens this member reads.
        tokens: The numbers of its tokens, at most `count`; None where it reads characters.
        num_classes: C.
        batch_size: Texts of a batch; 1 where padding is read as words, so that the text is scored alone.
    """

    settings: Family
    data: DataSettings
    tensors: Tensors
    score: Scorer
    read: Read
    spans: Sequence[tuple[int, int]]
    count: int
    tokens: TokenIds | None
    num_classes: int
    batch_size: int

    @property
    def whole(self) -> Inputs:
        """The text with all of its tokens."""
        return Inputs(self.tokens, [self.read.text], self.batch_size)

    def inputs(self, kept: Kept) -> Inputs:
        """The text with the tokens that are kept, N times."""
        kept = kept[:, : self.count]
        if self.tokens is None:
            return Inputs(None, self._texts(kept), self.batch_size)
        offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        ids = np.broadcast_to(self.tokens.ids, kept.shape)[kept]
        return Inputs(TokenIds(ids, offsets, self.tokens.words), [""] * len(kept), self.batch_size)

    def _texts(self, kept: Kept) -> list[str]:
        text, spans = self.read.text, self.spans[: self.count]
        tokens = [text[start:end] for start, end in spans]
        gaps = [text[end:start] for (_, end), (start, _) in pairwise([(0, 0), *spans])]
        return [
            "".join(gap + (token if keep else " ") for gap, token, keep in zip(gaps, tokens, row, strict=True))
            for row in kept.tolist()
        ]

    def logits(self, kept: Kept) -> Floats:
        """What the member says of the text with some of its tokens, (N, C).

        Raises:
            RubricaError: If a logit is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the error says what it means for the model
            found = [as_finite(self.score(self.inputs(rows))) for rows in self._stretches(kept)]
        return np.concatenate([np.zeros((0, self.num_classes), np.float32), *found])

    def _stretches(self, kept: Kept) -> Iterator[Kept]:
        """Some rows at a time, with a bar where there are many."""
        most = max(1, min(_TOKENS // max(1, self.count), _LOGITS // self.num_classes))
        if not self.settings.masks_padding:
            most = 1  # else a text would be read with the padding of a longer one
        places = range(0, len(kept), most)
        if len(places) == 1:
            yield kept
            return
        with progress_bar("leaving tokens out", len(places)) as advance:
            for first in places:
                yield kept[first : first + most]
                advance("")


@dataclass(frozen=True)
class Reading:
    """A text as a model reads it.

    Args:
        text: As it is written.
        tokens: The T tokens that the first member splits it into; other members' tokens are counted among them.
        parts: The text as each member reads it.
    """

    text: str
    tokens: tuple[Token, ...]
    parts: tuple[Part, ...]

    @property
    def everything(self) -> Kept:
        """All tokens, (1, T)."""
        return np.ones((1, len(self.tokens)), bool)

    @property
    def limit(self) -> int:
        """How many of the tokens are read by any member."""
        return max(part.count for part in self.parts)

    def logits(self, kept: Kept | None = None) -> Floats:
        """What the model says of the text with some of its tokens, (N, C); of the whole text where none are named."""
        kept = self.everything if kept is None else kept
        return reduce(np.add, [part.logits(kept) for part in self.parts])


class Reader:
    """A model, ready to read texts one by one."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact, self._ensemble = artifact, Ensemble(artifact.config, artifact.tensors)
        self._members = [(member, member.open(artifact.tensors, artifact.config.data)) for member in self.members]

    @property
    def members(self) -> tuple[Family, ...]:
        """The families whose logits are added."""
        return self.artifact.config.members

    def read(self, text: str) -> Reading:
        """The text as the model reads it."""
        reads = [split(member, self.artifact, text) for member in self.members]
        parts = [self._part(*own, read, reads[0]) for own, read in zip(self._members, reads, strict=True)]
        return Reading(text, tuple(reads[0].tokens()), tuple(parts))

    def _part(self, member: Family, score: Scorer, own: Read, first: Read) -> Part:
        artifact = self.artifact
        tokens = self._ensemble.read([own.text], artifact.vocab) if member.reads_words else None
        spans = first.spans if (own.text, own.spans) == (first.text, first.spans) else own.spans_of(first)
        read = sum(1 for start, _ in spans if own.limit is None or start < own.limit)
        return Part(
            settings=member,
            data=artifact.config.data,
            tensors=artifact.tensors,
            score=score,
            read=own,
            spans=spans,
            count=read if tokens is None else len(tokens.ids),
            tokens=tokens,
            num_classes=artifact.task.num_classes,
            batch_size=artifact.config.training.batch_size if member.masks_padding else 1,
        )


@singledispatch
def split(settings: Family, artifact: Artifact, text: str) -> Read:
    """A text as a family of models reads it."""
    return read_words(text, lowercase=artifact.vocab.lowercase, split_unspaced=artifact.vocab.split_unspaced)


@split.register
def _split_for_linear(settings: Linear, artifact: Artifact, text: str) -> Read:
    own = read_words(text, lowercase=settings.ngrams(artifact.config.data).lowercase)
    behind = own.spans[MAX_TOKENS][0] if len(own.spans) > MAX_TOKENS else MAX_CHARACTERS
    return replace(own, limit=min(behind, MAX_CHARACTERS))


@split.register
def _split_for_fasttext(settings: FastText, artifact: Artifact, text: str) -> Read:
    spans = [match.span() for match in _FASTTEXT_TOKEN.finditer(text)]
    end = next((end for start, end in spans if text[start:end] == END.decode()), len(text))
    places = np.arange(len(text) + 1, dtype=np.int64)
    return Read(text, places[:-1], places[1:], spans, end)
