"""The plot of a search: each trial's score at the time it ended, the best one so far, the defaults.

Trials that were judged on other texts are made comparable: a trial stands as far above the defaults as it leads them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.errors import ArtifactError, require
from rubrica.files import written_whole
from rubrica.insight.pages.drawing import quiet_axes, quiet_style
from rubrica.insight.pages.plots import PAPER
from rubrica.tuning.report import PLOT

_SIZE, _DPI = (7.2, 4.0), 160  # inches
_MINUTES = 300  # seconds, from which on the time is shown in minutes
_BELOW = 4  # times the distance of the best from the middle is shown below it: trials further down flatten the others
_LEAST = 0.002  # of a score: the least that the axis shows above and below


def draw_trials(rows: Sequence[dict[str, Any]], found: dict[str, Any], folder: Path) -> Path:
    """Draw the trials into the folder of a search.

    Args:
        rows: See `report.rows_of`.
        found: See `report.summary`.
        folder: Of the search.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figures, path = require("matplotlib.figure", "report"), folder / PLOT
    with quiet_style("trials", PAPER.ink), written_whole(path, ArtifactError) as part:
        figure = figures.Figure(figsize=_SIZE, facecolor="white")
        axes = quiet_axes(figure, (0.08, 0.13, 0.88, 0.66), PAPER.ink)
        _draw(axes, [row for row in rows if row["score"] is not None], found)
        figure.savefig(part, format="png", dpi=_DPI, metadata={"Software": None})
    return path


def _draw(axes: Any, rows: Sequence[dict[str, Any]], found: dict[str, Any]) -> None:
    longest = max((row["ended"] for row in rows), default=0.0)
    unit, name = (60, "minutes") if longest > _MINUTES else (1, "seconds")
    judged = [row for row in rows if row["state"] == "judged"]
    heights_of = {row["trial"]: _height(row, found) for row in rows}
    low, high = _limits([heights_of[row["trial"]] for row in judged or rows])
    for state, marker, color, label in (
        ("judged", "o", PAPER.slots[0], "a trial, judged on all parts"),
        ("given up", "x", PAPER.slots[1], "given up, clearly behind the best; on the edge: further down"),
    ):
        own = [row for row in rows if row["state"] == state]
        if own:  # one that is far down lies on the lower edge
            heights = [max(low, heights_of[row["trial"]]) for row in own]
            axes.plot(
                [row["ended"] / unit for row in own], heights, marker, color=color, label=label, clip_on=False, ms=5
            )
    if judged:
        best = np.maximum.accumulate([heights_of[row["trial"]] for row in judged])
        places = [row["ended"] / unit for row in judged] + [longest / unit]
        heights = [*best, best[-1]]
        axes.plot(
            places, heights, drawstyle="steps-post", color=PAPER.slots[0], alpha=0.6, lw=1.2, label="the best so far"
        )
    if found["default_score"] is not None:
        default = 100 * found["default_score"]
        axes.axhline(default, color=PAPER.slots[2], lw=1.2, linestyle="--", label=f"the defaults, {default:.2f}")
    for row in (row for row in judged if row["trial"] == found["winner"]):
        place, right = (row["ended"] / unit, heights_of[row["trial"]]), row["ended"] > longest / 2
        text = f"trial {row['trial']} is trained, {place[1]:.2f}"
        axes.annotate(text, place, (0, 8), textcoords="offset points", ha="right" if right else "left")
    axes.set_ylim(low, high)
    axes.set_xlim(0, 1.02 * longest / unit if rows else 1)
    axes.set_xlabel(f"{name} of the search")
    axes.set_title(f"{found['measure']} on held-out texts, %", loc="left", fontsize=10, pad=44)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2)


def _height(row: dict[str, Any], found: dict[str, Any]) -> float:
    """The score of a trial as if it had met the texts of the defaults: theirs, and its lead on the texts of both."""
    alike = row["lead"] is not None and found["default_score"] is not None
    return 100 * (found["default_score"] + row["lead"] if alike else row["score"])


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest score that the axis shows, from the scores of the trials that were judged."""
    if not scores:
        return 0.0, 100.0
    middle, top = float(np.median(scores)), max(scores)
    room = max(100 * _LEAST, top - middle)
    return max(0.0, middle - _BELOW * room, min(scores) - room), min(100.0, top + room)
