"""The page that `rubrica seminar` leaves behind: what was run, what came out, and what it teaches.

One HTML file that needs nothing else: no script, no web font, no network. `templates/seminar.html.j2` holds the prose
and the layout; this file computes the numbers, so that a sentence appears only where the figures support it.
matplotlib draws the plots as inline SVG; their colours are CSS variables, for the reader's light or dark scheme.

Letters: C classes, N test texts.
"""

import math
from collections.abc import Sequence
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.errors import require
from rubrica.insight.pages.drawing import INK, SLOTS, inline, quiet_axes, quiet_style, spread, thinned
from rubrica.insight.pages.template import decimals, open_template

AT_CHANCE = 0.05  # accuracy this near to 1/C counts as guessing
ONE_ANSWER = 0.9  # a network that answers this share of texts alike "gives one answer whatever it reads"
MOST_COLUMNS = 40  # a larger matrix is a gray carpet, and C^2 cells an experiment make the page heavy
COUNTS_UP_TO = 10  # classes whose counts are still readable inside the cells

# The slots of the palette in the template, by experiment: the same network has the same colour on every page.
COLORS = {"cnn": 0, "rnn": 1, "gru": 2, "gru-vectors": 3, "gru-frozen": 4}
# Each against the one it differs from in a single point.
PAIRS = {"gru": "rnn", "gru-vectors": "gru", "gru-frozen": "gru-vectors"}


def render_seminar(report: dict[str, Any]) -> str:
    """The whole page as HTML; the same report gives the same bytes.

    The report is what `rubrica seminar` measured: `data`, `experiments` in the order they ran, `seed`, `machine`,
    `versions`, `created`, `seconds`, and the `command` that repeats it.

    Raises:
        MissingExtraError: If matplotlib or Jinja2 is not installed.
    """
    return str(_template().render(facts(report)))


@cache
def _template() -> Any:
    return open_template(Path(__file__).parent / "templates" / "seminar.html.j2")


def facts(report: dict[str, Any]) -> dict[str, Any]:
    """Everything that the template may speak of: the report, and what follows from it."""
    labels = report["data"]["labels"]
    chance = 1 / len(labels)
    experiments = [_experiment(raw, labels, chance) for raw in report["experiments"]]
    named = {experiment["experiment"]: experiment for experiment in experiments}
    truths = np.sum(experiments[0]["confusion"], axis=1)
    curves = [experiment for experiment in experiments if experiment["curve"]["update"]]
    return {
        **report,
        "experiments": experiments,
        "named": named,
        "chance": chance,
        "loss_at_chance": math.log(len(labels)),
        "commonest": {"label": labels[int(truths.argmax())], "share": float(truths.max() / max(1, truths.sum()))},
        "gaps": {
            name: _gap(named[name], named[other], int(truths.sum()))
            for name, other in PAIRS.items()
            if name in named and other in named
        },
        # What the running average on train promises and the test does not keep.
        "memorized": max(curves, key=lambda run: run["curve"]["accuracy"][-1] - run["accuracy"], default=None),
        "loss_plot": _plot(curves, "loss", math.log(len(labels))),
        "accuracy_plot": _plot(curves, "accuracy", chance),
        "capitalized": [word for word, _ in report["data"]["unknown_words"] if word != word.lower()],
    }


def _experiment(raw: dict[str, Any], labels: Sequence[str], chance: float) -> dict[str, Any]:
    counts = np.asarray(raw["confusion"], dtype=np.int64)
    answers = counts.sum(axis=0) / max(1, counts.sum())
    favorite, thaw = int(answers.argmax()), raw["thaw_update"]
    return {
        **raw,
        "slot": COLORS[raw["experiment"]],
        "at_chance": abs(raw["accuracy"] - chance) < AT_CHANCE,
        "one_answer": labels[favorite] if answers[favorite] >= ONE_ANSWER else None,
        "one_answer_share": float(answers[favorite]),
        "thawed": bool(thaw) and thaw < raw["updates"],
        "matrix": _matrix(labels, counts),
    }


def _matrix(labels: Sequence[str], counts: Any) -> dict[str, Any]:
    """What the page shows of a confusion matrix; of many classes, only the most frequent."""
    totals = counts.sum(axis=1)
    shown = sorted(np.argsort(-totals, kind="stable")[:MOST_COLUMNS].tolist())
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [divmod(int(place), len(labels)) for place in order]
    return {
        "shown": shown,
        "shares": (counts / np.maximum(1, totals)[:, None]).tolist(),
        "compact": len(shown) > COUNTS_UP_TO,
        "upright": len(shown) > 5 or max(map(len, labels)) > 9,
        "left_out": len(labels) - len(shown),
        "confused": [(labels[r], labels[c], int(wrong[r, c])) for r, c in pairs if wrong[r, c]],
    }


def _gap(ours: dict[str, Any], other: dict[str, Any], n: int) -> dict[str, Any]:
    """The difference of two accuracies, beside what the choice of N test texts alone explains (95 %)."""
    variance = sum(run["accuracy"] * (1 - run["accuracy"]) for run in (ours, other)) / max(1, n)
    difference, noise = ours["accuracy"] - other["accuracy"], 1.96 * math.sqrt(variance)
    return {"points": 100 * difference, "noise": 100 * noise, "beyond_noise": abs(difference) > noise, "other": other}


def _plot(experiments: Sequence[dict[str, Any]], quantity: str, at_chance: float) -> str:
    """The curves of all experiments as one `<svg>`, or nothing if there are none."""
    if not experiments:
        return ""
    figures = require("matplotlib.figure", "report")
    with quiet_style(quantity):
        figure = figures.Figure(figsize=(5.2, 3.3))
        axes = quiet_axes(figure, (0.1, 0.14, 0.68, 0.8))
        axes.axhline(at_chance, color=INK, alpha=0.6, linewidth=0.9, linestyle=(0, (2, 3)))
        for run in experiments:
            points = thinned(len(run["curve"]["update"]))
            updates, values = (np.asarray(run["curve"][key], dtype=float)[points] for key in ("update", quantity))
            axes.plot(updates, values, color=SLOTS[run["slot"]], linewidth=1.6)
            if run["thawed"]:
                axes.axvline(run["thaw_update"], color=SLOTS[run["slot"]], linewidth=0.8, gid=f"thaw-{quantity}")
                top = (run["thaw_update"], 1.01)
                axes.text(*top, "thaw", transform=axes.get_xaxis_transform(), ha="center", color=SLOTS[run["slot"]])
        axes.set_xlabel("update", color=INK)
        axes.set_xlim(left=0)
        axes.margins(x=0)
        axes.set_ylim(0, 1 if quantity == "accuracy" else None)
        if quantity == "accuracy":
            axes.yaxis.set_major_formatter("{x:.0%}")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        ends = [(axes.transLimits.transform((0, run["curve"][quantity][-1]))[1], run) for run in experiments]
        ends = sorted(((y, run) for y, run in ends if math.isfinite(y)), key=lambda end: end[0])
        place = {"transform": axes.transAxes, "va": "center", "parse_math": False}
        for height, (_, run) in zip(spread([y for y, _ in ends]), ends, strict=True):
            axes.text(1.025, height, run["experiment"], color=SLOTS[run["slot"]], **place)
        svg = StringIO()
        figure.savefig(svg, format="svg", transparent=True)
    ended = ", ".join(f"{run['experiment']} {decimals(run['curve'][quantity][-1])}" for run in experiments)
    return inline(svg.getvalue(), quantity, f"{quantity} on train against updates; at the end: {ended}")
