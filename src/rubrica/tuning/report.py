"""What is told of a search: a line for each trial, and the search in short."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rubrica.errors import ArtifactError
from rubrica.files import written_whole
from rubrica.scoring.task import Task
from rubrica.tuning.choice import Choice
from rubrica.tuning.store import Tried

TRIALS, PLOT = "trials.jsonl", "trials.png"


def rows_of(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """What happened in each trial, in their order, ready for JSON; None stands for what a trial has not.

    The lead is over the defaults, on the parts that both were judged on, with its standard error.
    """
    default = next((each for each in tried if each.number == 0 and each.folds), None)
    return [_row(each, default) for each in tried]


def _row(tried: Tried, default: Tried | None) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": tried.number + 1, "state": tried.state, "settings": tried.proposal.changes}
    row |= dict.fromkeys(("score", "loss", "texts", "seconds", "bytes", "lead", "standard_error"))
    if tried.folds:
        row |= {"score": tried.score, "loss": tried.loss, "seconds": tried.seconds, "bytes": tried.size}
        row |= {"texts": len(tried.answers().rows)}
        if default is not None:
            lead = tried.lead(default)
            row |= {"lead": lead.points, "standard_error": lead.error}
    return row | {"parts": len(tried.folds), "ended": tried.spent, "note": tried.note}


def write_trials(rows: Sequence[dict[str, Any]], folder: Path) -> Path:
    """Write the lines into the folder of a search."""
    path = folder / TRIALS
    with written_whole(path, ArtifactError) as part:
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        part.write_text("".join(lines), encoding="utf-8")
    return path


def summary(choice: Choice | None, tried: Sequence[Tried], task: Task, seconds: float) -> dict[str, Any]:
    """The search in short, for `metrics.json`."""
    found: dict[str, Any] = {"trials": len(tried), "seconds": seconds, "measure": task.measure}
    if choice is None:  # nothing was judged in the time
        return found | {"judged_texts": 0, "winner": 1, "settings": {}, "default_score": None, "score": None}
    if choice.default is None:
        found["default_note"] = next((each.note for each in tried if each.number == 0), "")
    return found | {
        "judged_texts": len(choice.best.answers().rows),
        "winner": choice.winner.number + 1,
        "settings": choice.winner.proposal.changes,
        "default_score": None if choice.default is None else choice.default.score,
        "score": choice.winner.score if choice.winner.folds else None,
        "best": choice.best.number + 1,
        "lead": choice.lead.points,
        "standard_error": choice.lead.error,
        "chance": choice.chance,
    }


def verdict(found: dict[str, Any]) -> str:
    """Why the model has the settings that it has, in a sentence for a person."""
    if found["score"] is None:
        return (
            "no settings were judged in the time, so the defaults were trained in what was left of it; give more time"
        )
    score, texts = f"{found['measure']} {found['score']:.4f}", f"{found['judged_texts']:,} held-out texts"
    if found["default_score"] is None:
        return (
            f"trial {found['winner']} wins with {score} on {texts}; the defaults have no score: {found['default_note']}"
        )
    lead = f"{100 * found['lead']:+.2f} ± {100 * found['standard_error']:.2f} points"
    luck = f"luck alone would lead as far in {100 * found['chance']:.2g} % of searches"
    if found["winner"] != 1:
        return f"trial {found['winner']} wins with {score} on {texts}: {lead} against the defaults, and {luck}"
    if found["best"] == 1:
        return f"no trial was better than the defaults, {score} on {texts}; the model has the defaults"
    return f"the model has the defaults, {score} on {texts}: trial {found['best']} had {lead}, but {luck}"
