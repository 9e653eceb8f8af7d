"""What the doctor finds: one fault each, how grave it is, what shows it, what it costs, and what to do.

A check is a function that yields findings. `KINDS` lists all faults that a check can name.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from rubrica.notebook import card, escaped, line, table

Severity = Literal["note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "error")
"""From the mildest on. An error makes scores wrong or a model useless, a warning costs accuracy, a note little."""

KINDS: dict[str, str] = {
    # of data
    "rare-classes": "classes with very few texts",
    "imbalance": "classes much smaller than the largest",
    "label-spelling": "one label written in several ways",
    "unknown-labels": "labels that train lacks",
    "label-shift": "classes are not as frequent in each split",
    "empty-texts": "texts without a word",
    "truncation": "texts longer than what is read",
    "encoding": "letters damaged by a wrong encoding",
    "markup": "tags, entities and addresses in texts",
    "boilerplate": "the same opening or end of many texts",
    "other-script": "texts in another script than most",
    "other-language": "texts in another language than most",
    "unknown-words": "words that the model or the vectors do not know",
    "capitals-unknown": "words that the vectors know lower-cased alone",
    "unspaced-script": "a script without spaces read as one word a sentence",
    "give-away": "words that tell the class and are not about it",
    "duplicates": "texts that train has twice",
    "near-duplicates": "texts that train has twice, almost word for word",
    "conflicting-labels": "the same text with different labels",
    "leak": "texts of test that are in train",
    "shift": "test of another time or source than train",
    "unrelated-labels": "labels that do not follow from the texts",
    "label-noise": "wrong labels",
    "same-classes": "classes that mean the same",
    "hard-classes": "classes that are often confused",
    "more-labels": "what more labels would bring",
    # of a model
    "absent-words-move": "an update moves vectors of words that it did not read",
    "clipped": "nearly all updates are clipped",
    "constant-answer": "nearly the same answer to every text",
    "dead-units": "units that say the same of every text",
    "drift": "texts that are unlike the training texts",
    "embedding-collapsed": "word vectors that are nearly all alike",
    "embedding-still": "word vectors that training did not move",
    "exploding-gradient": "gradients that grow from step to step",
    "forgets-start": "a last state that no longer knows the text",
    "idle-network": "a network that the linear model beside it makes needless",
    "learning-rate-high": "steps too large",
    "learning-rate-low": "steps too small",
    "learns-nothing": "answers no better than without reading",
    "miscalibrated": "probabilities that do not mean what they say",
    "overfitting": "texts learned by heart",
    "padding-is-word": "a word whose vector is also the padding's",
    "padding-read": "answers that depend on the length of other texts",
    "saturated-units": "units at the flat end of their function",
    "seed-spread": "scores that depend on the seed",
    "slice-fails": "a group of texts with many more mistakes",
    "start-values": "recurrent weights that started on one side of 0",
    "too-short": "a training that ended while it still learned",
    "underfitting": "training texts that are not learned",
    "vanishing-gradient": "gradients that fade from step to step",
}
"""Each fault by its short name, which stays the same from version to version, and what it is in a few words."""

_SHOWN = 300  # characters of an example


class Phrase(str):
    """A few words about something of the data; another language has a pattern of its own for the same values.

    Args:
        pattern: The words in English, with a place for each value in braces.
        values: Names, numbers and other phrases.
    """

    pattern: str
    values: tuple[Any, ...]

    def __new__(cls, pattern: str, *values: Any) -> "Phrase":
        """Fill the values in."""
        phrase = super().__new__(cls, pattern.format(*values))
        phrase.pattern, phrase.values = pattern, values
        return phrase

    def __getnewargs__(self) -> tuple[Any, ...]:  # what a copy is made of
        return self.pattern, *self.values


class Row(NamedTuple):
    """A text that shows a finding.

    Args:
        split: Its split.
        row: Its number in the split, counted from 1 as a person counts rows; the header of a file is none.
        text: Its text, long ones cut.
        note: What there is to say of it: its label, its twin, the part that matters; a `Phrase`, or a name.
    """

    split: str
    row: int
    text: str
    note: str = ""


class Cost(NamedTuple):
    """What a fault costs, as a trial measured it.

    Args:
        points: Percent points of the main score that are lost with the fault.
        spread: Half of the 95 % interval of `points`.
        trial: What was tried, in a few words; a `Phrase`.
    """

    points: float
    spread: float
    trial: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault.

    Args:
        kind: A name in `KINDS`.
        severity: How grave it is.
        title: What was found, one sentence with its figure.
        why: What it does to a model, one or two sentences.
        remedy: What to do: a command or a line of the settings, else a sentence.
        figures: The measured numbers by name, for machines; finite.
        rows: Texts that show it, the clearest first.
        cost: What it costs, if a trial measured it.
    """

    kind: str
    severity: Severity
    title: str
    why: str
    remedy: str
    figures: dict[str, Any]
    rows: tuple[Row, ...] = ()
    cost: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding for JSON."""
        found = asdict(self)
        found["rows"] = [row._asdict() for row in self.rows]
        found["cost"] = None if self.cost is None else self.cost._asdict()
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows: the finding with its remedy, and the rows that show it."""
        rows = [(escaped(f"{row.split}, row {row.row}"), escaped(row.note), escaped(row.text)) for row in self.rows]
        cost = self.cost and f"Costs {self.cost.points:.1f} ± {self.cost.spread:.1f} points: {self.cost.trial}."
        parts = [line(self.why), *([line(cost)] if cost else []), line(f"What to do: {self.remedy}")]
        return card(self.title, self.severity, *parts, table(("row", "note", "text"), rows, "left") if rows else "")


def shorten(text: str, most: int = _SHOWN) -> str:
    """A text to be shown, on one line, cut behind `most` characters."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first; of equally grave ones the costliest, then as they were found."""
    return sorted(findings, key=lambda f: (-SEVERITIES.index(f.severity), -(f.cost.points if f.cost else 0.0)))


def at_least(findings: Iterable[Finding], severity: Severity) -> list[Finding]:
    """The findings of this severity and of graver ones."""
    return [found for found in findings if SEVERITIES.index(found.severity) >= SEVERITIES.index(severity)]
