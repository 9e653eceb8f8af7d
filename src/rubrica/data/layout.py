"""What the user says about a data set: which columns to read, and how its files are written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from rubrica.data.bad_rows import BadRows
from rubrica.data.objects import SEPARATOR
from rubrica.errors import ConfigError, resembling

LABEL_PREFIX = "__label__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    r"""How to read a data set; what is left out is found by its names or its first lines, see docs/data.md.

    Args:
        text_columns: The columns of the text, joined with a space without the empty ones.
        label_column: The column of the label. Several columns of 0 and 1 are one label each, of which a text may have
            several; of numbers between them, how probable each label is.
        label_separator: Stands between several labels in one string; an empty one reads labels whole.
        columns: The names of the columns of a file whose first line is data: a list, or one string `label,text`.
        header: False where the first line is data; the columns are then called 1, 2, 3.
        delimiter: Separates the columns of a line: one ASCII character; `\t` is a tab.
        quotes: False where a quote is a plain character. None finds out in files parted by tabs; else a field may
            stand in quotes.
        encoding: The encoding of a text file, such as cp1251; None is UTF-8, or UTF-16 or UTF-32 with their mark.
        label_prefix: Begins a label in a fastText file.
        regression: The label is a number from 0 to 1, which the model is to find.
        on_bad_row: What becomes of a row that cannot be read, see `BadRows`: "error", "skip" or "report".

    Raises:
        ConfigError: If the delimiter, the encoding, the prefix or the way with bad rows cannot be one.
    """

    text_columns: str | Sequence[str] = ()
    label_column: str | Sequence[str] | None = None
    label_separator: str = SEPARATOR
    columns: str | Sequence[str] | None = None
    header: bool = True
    delimiter: str | None = None
    quotes: bool | None = None
    encoding: str | None = None
    label_prefix: str = LABEL_PREFIX
    regression: bool = False
    on_bad_row: str = "error"
    bad_rows: BadRows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bad_rows", BadRows(self.on_bad_row))
        mark = self.mark
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n'):
            raise ConfigError(f"delimiter is {mark!r}, expected one ASCII character, not a quote or a line end")
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)
            except (LookupError, ValueError):
                advice = "give a name that Python knows, such as utf-8, cp1252, cp1251 or shift_jis"
                raise ConfigError(f"encoding is {self.encoding!r}; {advice}") from None
        if not self.label_prefix or len(self.label_prefix.split()) != 1:
            raise ConfigError(f"label_prefix is {self.label_prefix!r}, expected characters without a space")

    @property
    def mark(self) -> str | None:
        """The delimiter; a tab also where a shell leaves two characters of it."""
        return "\t" if self.delimiter == r"\t" else self.delimiter

    @property
    def names(self) -> list[str]:
        """The names of the columns of a file without a header, as far as they are given."""
        given = self.columns.split(",") if isinstance(self.columns, str) else self.columns
        return [name.strip() for name in given or ()]

    @property
    def texts(self) -> tuple[str, ...]:
        """The wanted columns of the text; none finds them by name."""
        return as_names(self.text_columns)

    @property
    def labels(self) -> tuple[str, ...]:
        """The wanted columns of the labels; none finds one by name."""
        return as_names(self.label_column)

    @property
    def is_delimited(self) -> bool:
        """Whether the user says that lines hold columns."""
        return bool(self.columns) or not self.header or self.delimiter is not None


GIVEN_BY_USER = tuple(field.name for field in fields(Layout) if field.init)
"""The names of what the user may say."""
OF_PAIRS = ("label_separator", "regression")  # what there is to say of texts and labels that are given as two columns


def make_layout(given: Mapping[str, Any], known: Sequence[str] = GIVEN_BY_USER) -> Layout:
    """How to read a data set, from the keywords of a call.

    Raises:
        TypeError: If one is none of the `known` ones; people who come from elsewhere pass settings of the model here.
        ConfigError: As `Layout`.
    """
    if unknown := [name for name in given if name not in known]:
        if unknown[0] in GIVEN_BY_USER:
            raise TypeError(f"{unknown[0]} says how a file is read, and texts and labels were given; leave it out")
        problem = f"there is no keyword {unknown[0]!r}"
        if close := resembling(unknown[0], known):
            raise TypeError(f"{problem}; did you mean {close!r}?")
        advice = 'settings of a model go into config=rubrica.make_config(model={"name": "linear"})'
        raise TypeError(f"{problem}; {advice}; how to read data: {', '.join(known)}")
    return Layout(**given)


def as_names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, several, or none as a tuple."""
    if given is None or given in ("", ()):
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (str(given),)
    return tuple(map(str, given))
