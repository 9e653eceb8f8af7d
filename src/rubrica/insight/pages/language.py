"""The sentences of a page in one language, and how the language writes numbers; see the files in `languages/`.

A sentence is ours and may hold tags; what is put into it comes from strangers and is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rubrica.errors import ConfigError, nearest, require

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("??.toml")))


@dataclass(frozen=True)
class Language:
    """A language that pages speak.

    Args:
        name: Its code in HTML, such as `en`.
        sentences: By name, with places for values in braces.
        words: The forms of a word that is counted, by name, see `_form`.
        marks: `decimal`, `thousands` and `percent`: what stands in a number, and behind a percentage.
    """

    name: str
    sentences: Mapping[str, str]
    words: Mapping[str, list[str]]
    marks: Mapping[str, str]

    def say(self, name: str, /, **values: Any) -> Any:
        """A sentence as a piece of HTML."""
        return require("markupsafe", "report").Markup(self.sentences[name]).format(**values)

    def plain(self, name: str, /, **values: Any) -> str:
        """A sentence as text, for plots."""
        return self.sentences[name].format(**values)

    def number(self, value: float, digits: int = 0) -> str:
        """A number."""
        whole, _, rest = f"{value:,.{digits}f}".partition(".")
        whole = whole.replace(",", self.marks["thousands"])
        return f"{whole}{self.marks['decimal']}{rest}" if rest else whole

    def percent(self, value: float, digits: int = 1) -> str:
        """A share of 1 as a percentage; what is not all or nothing is not rounded to it."""
        text = self.number(100 * value, digits)
        if (value < 1 and text == self.number(100, digits)) or (value > 0 and text == self.number(0, digits)):
            most = 100 - 10**-digits if value > 0.5 else 10**-digits
            text = f"{'>' if value > 0.5 else '<'} {self.number(most, digits)}"
        return text + self.marks["percent"]

    def between(self, low: float, high: float) -> str:
        """An interval of shares, as in 90.3–92.1%."""
        return f"{self.number(100 * low, 1)}–{self.number(100 * high, 1)}{self.marks['percent']}"

    def count(self, word: str, number: int) -> str:
        """A number and the word behind it in its form, as in 1 text, 2 texts."""
        return f"{self.number(number)} {_form(number, self.words[word])}"


def _form(number: int, forms: Sequence[str]) -> str:
    """The form that a number asks for: of two as in English, of three as in Russian, for 1 (21, 31), 2 (3, 22), 5."""
    if len(forms) == 2:
        return forms[number != 1]
    teen = number % 100 in range(11, 15)
    return forms[2 if teen else {1: 0, 2: 1, 3: 1, 4: 1}.get(number % 10, 2)]


@cache
def read_language(name: str) -> Language:
    """The sentences of a language, `en` or `ru`.

    Raises:
        ConfigError: If there is no such language.
    """
    if name not in LANGUAGES:
        raise ConfigError(f"no page speaks {name!r:.20}; {nearest(name, LANGUAGES)}")
    import tomllib  # late: who wants no page needs none

    tables = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Language(name, tables["sentences"], tables["words"], tables["marks"])
