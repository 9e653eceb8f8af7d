"""What a notebook shows of a value: small pieces of HTML, for light paper and for dark.

Letters have the notebook's own colour, and lines and bars are half transparent, so no piece needs to know the paper.
Every text is escaped. Nothing here is imported before a notebook asks for it.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

RIGHT, WRONG = "0,114,178", "213,94,0"  # blue and orange, which people tell apart who confuse red and green
_LINE = "1px solid rgba(128,128,128,.35)"
_QUIET = "opacity:.7;font-size:.9em"
# What HTML cannot hold, and the two characters that turn the direction of what follows.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """A text with a mark in place of each character that HTML cannot hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(value: object) -> str:
    """A value as text."""
    return html.escape(printable(str(value)))


def card(title: object, about: object, *parts: str) -> str:
    """A headline, what stands beside it in pale letters, and the pieces of HTML that follow."""
    head = f'<div><b>{escaped(title)}</b> <span style="{_QUIET}">{escaped(about)}</span></div>'
    return f'<div style="max-width:60em">{head}{"".join(parts)}</div>'


def line(text: object) -> str:
    """A line of text."""
    return f'<div style="margin-top:.4em">{escaped(text)}</div>'


def quiet(text: object) -> str:
    """A line in pale letters."""
    return f'<div style="{_QUIET};margin-top:.4em">{escaped(text)}</div>'


def table(columns: Sequence[object], rows: Iterable[Sequence[str]], side: str = "right") -> str:
    """A table of HTML cells; beside the first column, figures stand `right` and texts `left`. It may have no head."""
    head = "".join(_cell("th", escaped(column), side if place else "left") for place, column in enumerate(columns))
    lines = ("".join(_cell("td", cell, side if place else "left") for place, cell in enumerate(row)) for row in rows)
    every = "".join(f'<tr style="background:none">{line}</tr>' for line in (head, *lines) if line)
    return f'<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:.6em 0">{every}</table></div>'


def _cell(tag: str, content: str, side: str) -> str:
    look = f"text-align:{side};vertical-align:top;padding:.2em .9em .2em 0;border:0;border-bottom:{_LINE}"
    return f'<{tag} style="{look}">{content}</{tag}>'


def bar(share: float, text: object, color: str = RIGHT) -> str:
    """A number on a bar whose length says how much of the whole it is."""
    length = f"{100 * min(max(share, 0.0), 1.0):.0f}%"
    paint = f"linear-gradient(to right,rgba({color},.4) {length},transparent {length})"
    return f'<div style="min-width:8em;padding:0 .4em;background:{paint};text-align:right">{escaped(text)}</div>'


def row(title: object, middle: str, *texts: object) -> str:
    """A piece of HTML with a title before it and texts behind it, on one line."""
    ends = "".join(f"<span>{escaped(text)}</span>" for text in texts if text)
    look = "display:flex;gap:.8em;align-items:center;font-variant-numeric:tabular-nums"
    return f'<div style="{look}"><span>{escaped(title)}</span><div style="flex:0 1 16em">{middle}</div>{ends}</div>'


def shaded(share: float, text: object, color: str) -> str:
    """A number on a colour as deep as its share."""
    depth = 0.6 * max(share, 0.0) ** 0.5  # the root lifts rare mistakes off the paper
    return f'<div style="padding:0 .5em;background:rgba({color},{depth:.2f})">{escaped(text)}</div>'


def shown(rows: Sequence[Any], most: int) -> tuple[Sequence[Any], str]:
    """The first rows, and a line that says how many are left out."""
    left = len(rows) - most
    return rows[:most], quiet(f"and {left:,} more") if left > 0 else ""
