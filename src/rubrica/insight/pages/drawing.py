"""What the plots of all pages have in common: quiet axes, and SVG in the colours of the page that it stands in.

matplotlib wants real colours. `INK` and `SLOTS` stand for the variables of `templates/page.css`, and `inline` exchanges
them in the finished SVG, so a plot follows its reader from light to dark.
"""

import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from rubrica.errors import require

INK, SLOTS = "#010203", ("#a10001", "#a10002", "#a10003", "#a10004", "#a10005")
CURVE_POINTS = 400  # more than the pixels of a plot show
LABEL_GAP = 0.075  # of the plot's height: one line of text at the end of a curve


def quiet_style(name: str, ink: str = INK) -> Any:
    """A context in which figures are drawn in `ink`; the reader's own matplotlibrc does not change the page.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    style = require("matplotlib.style", "report")
    settings: dict[str, Any] = dict.fromkeys(("text.color", "axes.edgecolor", "xtick.color", "ytick.color"), ink)
    settings |= {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}
    return style.context(settings, after_reset=True)


def quiet_axes(figure: Any, box: tuple[float, float, float, float], ink: str = INK) -> Any:
    """Axes with horizontal lines and little else; the box is left, bottom, width and height in shares of the figure."""
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color=ink, alpha=0.13, linewidth=0.7)
    axes.tick_params(length=0, pad=5)
    return axes


def thinned(count: int) -> list[int]:
    """At most CURVE_POINTS of `count` positions, evenly, with the first and the last."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, CURVE_POINTS))})


def spread(heights: Iterable[float]) -> list[float]:
    """Sorted heights moved apart to LABEL_GAP, as little as one pass up and one down can."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + LABEL_GAP) if moved else max(height, 0.0))
    ceiling = 1.0
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - LABEL_GAP
    return moved


def inline(svg: str, prefix: str, description: str) -> str:
    """An SVG file as a part of a page: no prolog, ids of its own, the page's colours, a name for screen readers."""
    (box,) = re.findall(r'viewBox="([^"]+)"', svg)
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index(">", svg.index("<svg")) + 1 :], flags=re.DOTALL)
    body = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"{prefix}-", body)
    body = body.replace(INK, "currentColor")
    for slot, color in enumerate(SLOTS):
        body = body.replace(color, f"var(--slot{slot})")
    return f'<svg class="plot" viewBox="{box}" role="img" aria-label="{html.escape(description)}">{body.strip()}'
