"""The plots of a report: as SVG in the page and as PNG files beside it, drawn by the same code.

Each plot has a name, a description for those who do not see it, and a function that draws it in given colours.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.errors import require
from rubrica.insight.pages.drawing import INK, SLOTS, inline, quiet_axes, quiet_style, spread, thinned
from rubrica.insight.pages.facts import MATRIX_UP_TO, Facts
from rubrica.insight.pages.intervals import Reliability
from rubrica.insight.pages.language import Language
from rubrica.insight.pages.training import CURVES, Curve
from rubrica.notebook import printable

_SIZE = (4.2, 2.9)  # inches: a letter of 9 points is then 10 pixels high on a phone
_DPI = 200
MOST_LABELS = 40  # of a matrix: more are no longer read
_SHORT = 22  # characters of a label beside a matrix
_FAINTEST = 0.12  # of a cell that holds a single text


class Colors(NamedTuple):
    """What a plot is drawn with: right answers in the first slot, wrong ones in the second."""

    ink: str
    slots: Sequence[str]


PAGE = Colors(INK, SLOTS)
PAPER = Colors("#23211d", ("#0072b2", "#c74f00", "#00805d", "#a8478a", "#23211d"))
"""The light colours of `templates/page.css`."""


NAMES = ("confusion", "reliability", "lengths", *(f"learning-{name}" for name in CURVES))
"""Of all plots that a page may have."""


class Plot(NamedTuple):
    """A plot.

    Args:
        name: Of its file, and of its place in the page.
        description: What it shows, in a sentence or two.
        draw: Gives the figure in these colours.
    """

    name: str
    description: str
    draw: Callable[[Colors], Any]


def plots(found: Facts | None, curves: dict[str, list[Curve]], language: Language) -> list[Plot]:
    """Every plot that the facts bear."""
    made = [_curve_plot(name, lines, language) for name, lines in curves.items()]
    if found is not None:
        made += _plots_of_answers(found, language)
    return made


def to_svg(plot: Plot) -> str:
    """The plot as a part of the page.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    svg = StringIO()
    with quiet_style(plot.name):
        plot.draw(PAGE).savefig(svg, format="svg", transparent=True)
    return inline(svg.getvalue(), plot.name, plot.description)


def save_png(plot: Plot, path: Path) -> None:
    """Write the plot as a picture on white paper; letters that matplotlib's own font lacks become boxes."""
    with quiet_style(plot.name, PAPER.ink), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ")
        plot.draw(PAPER).savefig(path, format="png", dpi=_DPI, facecolor="white")


def _figure(size: tuple[float, float] = _SIZE) -> Any:
    return require("matplotlib.figure", "report").Figure(figsize=size)


def _plots_of_answers(found: Facts, language: Language) -> Iterator[Plot]:
    if found.matrix is not None:
        yield _matrix_plot(found, language)
    if found.reliability is not None:
        yield _reliability_plot(found.reliability, language)
    if found.lengths:
        points = [
            language.plain(
                "lengths_point", low=language.number(part.shortest), high=language.number(part.longest),
                share=language.percent(part.right.value),
            )
            for part in found.lengths
        ]  # fmt: skip
        description = language.plain("lengths_alt", points=" ".join(points))
        yield Plot("lengths", description, lambda colors: _draw_lengths(found, language, colors))


def _curve_plot(name: str, lines: list[Curve], language: Language) -> Plot:
    axis, _ = CURVES[name]
    ends = [
        language.plain("curve_point", name=language.plain(line.name), value=language.number(line.values[-1], 3))
        for line in lines
    ]
    what = language.plain(f"learning_{name}")
    description = language.plain("curve_alt", what=what, x=language.plain(axis), points=" ".join(ends))
    return Plot(f"learning-{name}", description, lambda colors: _draw_curves(name, axis, lines, language, colors))


def _draw_curves(name: str, axis: str, lines: list[Curve], language: Language, colors: Colors) -> Any:
    figure = _figure()
    axes = quiet_axes(figure, (0.13, 0.16, 0.66, 0.79), colors.ink)
    for slot, line in enumerate(lines):
        kept = thinned(len(line.steps))
        steps, values = (np.asarray(column, float)[kept] for column in (line.steps, line.values))
        mark = "o" if len(kept) < 20 else None  # few points are epochs, and each is a measurement
        axes.plot(steps, values, color=colors.slots[slot], linewidth=1.8, marker=mark, markersize=3.5)
    axes.set_xlabel(language.plain(axis), color=colors.ink)
    axes.margins(x=0.02)
    if name == "slope":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda y, _: language.number(y, max(0, -math.floor(math.log10(y)))))
        axes.yaxis.set_minor_formatter(require("matplotlib.ticker", "report").NullFormatter())
        axes.tick_params(which="minor", length=0)
    else:
        axes.set_ylim(0, 1.005 if name == "score" else None)
        axes.yaxis.set_major_formatter(lambda y, _: language.percent(y, 0) if name == "score" else _short(y, language))
    axes.xaxis.set_major_locator(require("matplotlib.ticker", "report").MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda x, _: language.number(x))
    figure.draw_without_rendering()  # sets the limits that `transLimits` looks at
    ends = []
    for slot, line in enumerate(lines):
        height = axes.transAxes.inverted().transform(axes.transData.transform((line.steps[-1], line.values[-1])))[1]
        if math.isfinite(height):
            ends.append((float(height), slot))
    ends.sort()
    for height, (_, slot) in zip(spread(height for height, _ in ends), ends, strict=True):
        axes.text(
            1.03, height, language.plain(lines[slot].name), color=colors.slots[slot], transform=axes.transAxes,
            va="center",
        )  # fmt: skip
    return figure


def _short(value: float, language: Language) -> str:
    """A loss at an axis."""
    return language.number(value, 1 if abs(value) < 10 else 0)


def _reliability_plot(found: Reliability, language: Language) -> Plot:
    points = [
        language.plain("reliability_point", said=language.percent(each.said, 0), right=language.percent(each.right, 0))
        for each in found.bins
    ]
    description = language.plain("reliability_alt", points=" ".join(points))
    return Plot("reliability", description, lambda colors: _draw_reliability(found, language, colors))


def _draw_reliability(found: Reliability, language: Language, colors: Colors) -> Any:
    figure = _figure((4.2, 3.9))
    axes = quiet_axes(figure, (0.14, 0.13, 0.82, 0.84), colors.ink)
    axes.plot([0, 1], [0, 1], color=colors.ink, linewidth=0.9, linestyle=(0, (2, 3)), alpha=0.7)
    most = max(each.size for each in found.bins)
    for each in found.bins:
        axes.vlines(each.said, each.low, each.high, color=colors.ink, linewidth=7, alpha=0.18)
    for each in found.bins:
        by_chance = each.low - 1e-9 <= each.right <= each.high + 1e-9
        size = 18 + 130 * math.sqrt(each.size / most)
        color = colors.slots[0] if by_chance else colors.slots[1]
        axes.scatter([each.said], [each.right], s=size, color=color, linewidths=0, alpha=0.9, zorder=3)
    axes.set_xlabel(language.plain("promised"), color=colors.ink)
    axes.set_ylabel(language.plain("kept"), color=colors.ink)
    for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limits(-0.03, 1.03)
        axis.set_major_formatter(lambda value, _: language.percent(value, 0))
    return figure


def _draw_lengths(found: Facts, language: Language, colors: Colors) -> Any:
    figure = _figure()
    axes = quiet_axes(figure, (0.13, 0.22, 0.84, 0.74), colors.ink)
    places = range(len(found.lengths))
    values = [part.right.value for part in found.lengths]
    errors = [[part.right.value - part.right.low for part in found.lengths]]
    errors.append([part.right.high - part.right.value for part in found.lengths])
    axes.errorbar(places, values, errors, fmt="o", color=colors.slots[0], elinewidth=1.6, markersize=7, capsize=0)
    names = [f"{language.number(part.shortest)}–\n{language.number(part.longest)}" for part in found.lengths]
    axes.set_xticks(places, names, fontsize=8)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xlabel(language.plain("length"), color=colors.ink)
    axes.yaxis.set_major_formatter(lambda y, _: language.percent(y, 0))
    low = min(part.right.low for part in found.lengths)
    axes.set_ylim(max(0.0, math.floor(10 * low) / 10 - 0.05), 1.005)
    return figure


def shown_labels(found: Facts) -> list[int]:
    """Which labels a drawn matrix has, in their order: of many, those with the most mistakes."""
    assert found.matrix is not None
    table = np.array(found.matrix.counts)
    wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
    return sorted(np.argsort(-wrong, kind="stable")[:MOST_LABELS].tolist())


def _matrix_plot(found: Facts, language: Language) -> Plot:
    pairs = [
        f"{found.labels[group.truth]} → {found.labels[group.answer]} ({language.number(group.size)})"
        for group in found.groups[:3]
    ]
    description = language.plain("matrix_alt", shown=len(shown_labels(found)), pairs=", ".join(pairs) or "–")
    return Plot("confusion", description, lambda colors: _draw_matrix(found, language, colors))


def _draw_matrix(found: Facts, language: Language, colors: Colors) -> Any:
    """Only cells that hold a text are drawn: of many classes, almost all are empty."""
    assert found.matrix is not None
    shown, matrix = shown_labels(found), found.matrix
    few = len(shown) <= MATRIX_UP_TO
    side = 5.0 if few else 9.0
    figure = _figure((side, side))
    axes = quiet_axes(figure, (0.2, 0.03, 0.77, 0.77), colors.ink)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    cell = 72 * side * 0.77 / len(shown) - 1.2  # points
    for right in (True, False):
        cells = [
            (x, y, matrix.shares[row][column])
            for y, row in enumerate(shown)
            for x, column in enumerate(shown)
            if matrix.counts[row][column] and (row == column) == right
        ]
        if cells:
            xs, ys, shares = map(np.array, zip(*cells, strict=True))
            # The root of the share lifts the rare mistakes, which are the interesting ones, off the paper.
            alphas = _FAINTEST + (0.85 - _FAINTEST) * np.sqrt(shares)
            color = colors.slots[0] if right else colors.slots[1]
            axes.scatter(xs, ys, s=cell**2, marker="s", color=color, alpha=alphas.tolist(), linewidths=0)
    if few:
        for y, row in enumerate(shown):
            for x, column in enumerate(shown):
                if count := matrix.counts[row][column]:
                    axes.text(x, y, language.number(count), ha="center", va="center", color=colors.ink, fontsize=8)
    names = [_cut(found.labels[place]) for place in shown]
    axes.set_xticks(range(len(shown)), names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(shown)), names, fontsize=8, parse_math=False)
    axes.xaxis.tick_top()
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    return figure


def _cut(label: str) -> str:
    label = printable(label)
    return label if len(label) <= _SHORT else f"{label[: _SHORT - 1]}…"
