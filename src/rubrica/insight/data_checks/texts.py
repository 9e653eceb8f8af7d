"""The texts as they stand: empty or cut, damaged by a wrong encoding, full of markup, or with one opening for all."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding, Phrase, Row, Severity
from rubrica.scoring.task import Rows

_EXAMPLES = 3
_RUN = 5  # words that open or close a text; shorter runs are how people write
_SHARED = 0.05  # of the texts with one opening: no one's habit, but a form
_FEWEST = 5  # texts: of a handful one is 5 % and more, and says nothing of the others
_KEPT = 0.9  # of these texts have the next word, too: the form goes on
_LONG = 60  # words of a form that are looked for

# Letters of two bytes in UTF-8 that were read as Latin-1, Windows-1252 or Windows-1251; and what stands for a lost one.
_DAMAGE = re.compile(
    "\ufffd"
    "|[\u00c2\u00c3][\u0080-\u00bf]"  # Ã©, Â°
    "|\u00e2\u20ac[\u0080-\u00ff\u2013-\u2122\u0153\u0178\u02dc]"  # â€™
    "|(?:[\u00d0\u00d1][\u0080-\u00ff\u0152-\u2122]){2}"  # Ð¿Ñ€
    "|(?:[\u0420\u0421][\u0080-\u00bf\u0402-\u040f\u0452-\u045f\u0490\u0491\u2013-\u2122]){2}"  # РїСЂ
)
TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>|&lt;/?[a-zA-Z]|\[/?[a-z]{1,5}(?:=[^\]]*)?\]")
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{2,5});|(?<![\w&])#\d{2,4};")
ADDRESS = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)


def check_empty(sample: Sample) -> Iterator[Finding]:
    """Texts without a token."""
    for part in sample.parts.values():
        places = np.flatnonzero(part.lengths == 0)
        if not len(places):
            continue
        share = len(places) / len(part)
        yield Finding(
            kind="empty-texts",
            severity="warning" if share >= 0.001 else "note",  # one in a thousand moves no score
            title=f"Texts of {part.name} without a word: {len(places):,} ({share:.2%})",
            why="All of them get the same answer, whatever their labels are.",
            remedy="Remove these rows, or fill in their texts.",
            figures={"split": part.name, "texts": len(places), "share": share},
            rows=_shown(part, places),
        )


def check_lengths(sample: Sample) -> Iterator[Finding]:
    """Texts of which a network reads the beginning alone."""
    most = sample.settings.max_length
    lengths = sample.train.lengths
    cut = lengths > most
    lost = int((lengths[cut] - most).sum())
    share, of_tokens = float(cut.mean()), lost / max(1, int(lengths.sum()))
    if share < 0.01 or cut.sum() < _FEWEST:
        return
    needed = int(np.quantile(lengths, 0.99, method="inverted_cdf"))  # a length that a text has
    yield Finding(
        kind="truncation",
        severity="warning" if of_tokens >= 0.1 else "note",  # a tenth of all that could be read
        title=f"{share:.1%} of the texts are longer than {most} tokens: a network never reads {of_tokens:.1%} of"
        " all tokens",
        why="What tells the classes apart may stand behind the cut. A bag is cut, too; a linear model reads all."
        " The limit below reads 99 % of the texts whole, in proportion more slowly.",
        remedy=f"rubrica train DATA --out MODEL --set data.max_length={needed}",
        figures={"share": share, "tokens_lost": of_tokens, "longest": int(lengths.max()), "quantile_99": needed},
        rows=_shown(sample.train, np.argsort(-lengths, kind="stable"), lengths),
    )


def check_encoding(sample: Sample) -> Iterator[Finding]:
    """Letters that a wrong encoding made of others."""
    for part in sample.parts.values():
        places = _matching(part.texts, _DAMAGE)
        share = len(places) / max(1, len(part))
        if not len(places):
            continue
        yield Finding(
            kind="encoding",
            severity="warning" if share >= 0.002 else "note",  # two in a thousand: the damage of a source, not of a row
            title=f"Texts of {part.name} that were once read in a wrong encoding: {len(places):,} ({share:.2%})",
            why="Damaged words are unknown words: the model cannot know that they are the words it has learned.",
            remedy="Save the file in UTF-8 from its source anew, or read it with --encoding, such as cp1252 or cp1251.",
            figures={"split": part.name, "texts": len(places), "share": share},
            rows=_matched(part, places, _DAMAGE),
        )


def check_markup(sample: Sample) -> Iterator[Finding]:
    """Tags, entities and addresses, which become tokens of their own."""
    part = sample.train
    kinds = (("tags", TAG, "<b>"), ("entities", _ENTITY, "&amp;"), ("addresses", ADDRESS, "http://"))
    found = {name: _matching(part.texts, pattern) for name, pattern, _ in kinds}
    shares = {name: len(places) / max(1, len(part)) for name, places in found.items()}
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] < 0.005:
        return
    told = ", ".join(f"{name} such as {like} in {shares[name]:.1%}" for name, _, like in kinds if found[name].size)
    severity: Severity = "warning" if shares[worst] >= 0.05 else "note"
    yield Finding(
        kind="markup",
        severity=severity,
        title=f"Texts hold markup: {told}",
        why="Each tag and entity is read as several words, which say little and take the place of others.",
        remedy="Take the markup out, here and where the model will be used: html.unescape, a parser of HTML.",
        figures=shares,
        rows=_matched(part, found[worst], next(pattern for name, pattern, _ in kinds if name == worst)),
    )


def check_forms(sample: Sample) -> Iterator[Finding]:
    """The same words at the beginning or at the end of many texts."""
    part = sample.train
    for where in ("beginning", "end"):
        runs = _runs(part, backwards=where == "end")
        if not runs:
            continue
        (run, count), *_ = Counter(runs.values()).most_common(1)
        share = count / len(part)
        if share < _SHARED or count < _FEWEST:
            continue
        places = np.array([place for place, found in runs.items() if found == run])
        words = _grown(part, places, backwards=where == "end")
        text = " ".join(sample.words[word] for word in words)
        yield Finding(
            kind="boilerplate",
            severity="warning" if share * len(words) >= 1 else "note",  # a word of each text, on the average
            title=f"{share:.1%} of the texts have the same {len(words)} words at their {where}: {text[:80]!r}",
            why="The words say nothing of the text, and fill what a network reads of it.",
            remedy="Take the form out of the texts, here and where the model will be used.",
            figures={"share": share, "words": len(words), "text": text[:500]},
            rows=_shown(part, places),
        )


def _runs(part: Part, *, backwards: bool) -> dict[int, bytes]:
    """The first or last words of each text that has enough of them; the number of the text with the run."""
    places = np.flatnonzero(part.lengths >= 2 * _RUN)  # of a shorter text it is the whole
    starts = part.offsets[1:][places] - _RUN if backwards else part.offsets[:-1][places]
    runs = np.ascontiguousarray(part.ids[starts[:, None] + np.arange(_RUN)])
    return {place: run.tobytes() for place, run in zip(places.tolist(), runs, strict=True)}


def _grown(part: Part, places: Rows, *, backwards: bool) -> list[int]:
    """The whole form of texts that open or close with the same words."""
    words: list[int] = []
    for step in range(_LONG):
        here = part.offsets[1:][places] - 1 - step if backwards else part.offsets[:-1][places] + step
        here = here[part.lengths[places] > step]
        if not len(here):
            break
        word, count = Counter(part.ids[here].tolist()).most_common(1)[0]
        if count < _KEPT * len(places):
            break
        words.append(word)
    return words[::-1] if backwards else words


def _matching(texts: Sequence[str], pattern: re.Pattern[str]) -> Rows:
    return np.array([place for place, text in enumerate(texts) if pattern.search(text)], np.int64)


def _matched(part: Part, places: Rows, pattern: re.Pattern[str]) -> tuple[Row, ...]:
    """Examples with what was found in them."""
    found = []
    for place in places[:_EXAMPLES].tolist():
        match = pattern.search(part.texts[place])
        assert match is not None
        found.append(part.show(place, f"{match[0][:40]!r}"))
    return tuple(found)


def _shown(part: Part, places: Rows, lengths: Rows | None = None) -> tuple[Row, ...]:
    return tuple(
        part.show(place, "" if lengths is None else Phrase("{:,} tokens", int(lengths[place])))
        for place in places[:_EXAMPLES].tolist()
    )
