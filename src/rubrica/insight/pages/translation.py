"""Findings in another language than English: sentences by the kind of fault, filled with the figures of the finding."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from rubrica.insight.findings import Finding, Phrase
from rubrica.insight.pages.language import FOLDER, Language

_NAMED = 5  # of a list


def translate(found: Finding, spoken: Language) -> tuple[Finding, str]:
    """A finding in a language, and the code of the language that it now speaks; a command stays a command."""
    sentences = _sentences("findings", spoken.name).get(found.kind)
    if sentences is None:
        return found, "en"
    titles = [sentences["title"]] if isinstance(sentences["title"], str) else sentences["title"]
    fill = _Figures(spoken).vformat
    rows = tuple(row._replace(note=_say(row.note, spoken)) for row in found.rows)
    cost = found.cost and found.cost._replace(trial=_say(found.cost.trial, spoken))
    for title in titles:
        try:
            said = {name: fill(text, (), found.figures) for name, text in {**sentences, "title": title}.items()}
            remedy = said.get("remedy", found.remedy)
        except LookupError:  # another title has figures that the finding has
            continue
        return replace(found, title=said["title"], why=said["why"], remedy=remedy, rows=rows, cost=cost), spoken.name
    return found, "en"


def _say(words: str, spoken: Language) -> str:
    """A phrase in a language; a name as it is."""
    if not isinstance(words, Phrase):
        return words
    pattern = _sentences("phrases", spoken.name).get(words.pattern, words.pattern)
    values = [_say(value, spoken) if isinstance(value, str) else value for value in words.values]
    return _Figures(spoken).vformat(pattern, values, {})


@cache
def _sentences(what: str, language: str) -> dict[str, Any]:
    import tomllib  # late: who wants no page needs none

    path = FOLDER / f"{what}.{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


class _Figures(string.Formatter):
    """Writes numbers as the language does, and names one after the other."""

    def __init__(self, spoken: Language) -> None:
        self.marks = str.maketrans({
            ",": spoken.marks["thousands"], ".": spoken.marks["decimal"], "%": spoken.marks["percent"],
        })  # fmt: skip

    def format_field(self, value: Any, format_spec: str) -> str:
        """A figure: a number as `format_spec` says, the first names of a list, the names of a table."""
        if isinstance(value, Mapping):
            value = [f"{name} {self._number(x, '.2g')}" if isinstance(x, float) else name for name, x in value.items()]
        if isinstance(value, Sequence) and not isinstance(value, str):
            groups = any(isinstance(part, list | tuple) for part in value)
            return ("; " if groups else ", ").join(map(self._part, value[:_NAMED]))
        return value if isinstance(value, str) else self._number(value, format_spec)

    def _part(self, part: Any) -> str:
        if isinstance(part, list | tuple):
            return " / ".join(map(str, part))
        return self._number(part, ".1f") if isinstance(part, float) else str(part)

    def _number(self, value: float, format_spec: str) -> str:
        return format(value, format_spec).translate(self.marks)
