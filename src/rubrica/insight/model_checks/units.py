"""Units that do nothing: saturated ones, which pass no gradient, and dead ones, which say the same of every text.

Letters: S real tokens, H units, B texts, F features.
"""

from collections.abc import Iterator

import numpy as np

from rubrica.insight.findings import Finding
from rubrica.insight.model_checks.subject import Subject
from rubrica.models.storage import Tensors

_FLAT = 0.04  # of the steepest slope: a tanh beyond 0.98, a sigmoid beyond 0.01 or 0.99
_MOSTLY = 0.9  # of the steps; a gate that is shut for some words and open for others works as it should
_STEPS, _NEARLY_ALL = 0.4, 0.8  # of all steps and units; sound trainings have up to 0.06
_FEW, _MANY = 0.15, 0.5  # of the units: wasted, and most of the layer
_SILENT = 1e-3  # of the liveliest feature's spread
_ONE_SIDED = 0.5  # standard deviations between the mean and 0; training moves it by 0.2, U[0, 1) starts at 1.7
_PUSH = 1.0  # by which a full state moves each unit; a tanh of 1 is half way to its end


def find_saturated(subject: Subject) -> Iterator[Finding]:
    """Recurrent units whose function is flat at most steps."""
    inside = subject.inside
    if inside is None or not inside.slopes:
        return
    flat = {name: slopes < _FLAT for name, slopes in inside.slopes.items()}
    steps = {name: float(where.mean()) for name, where in flat.items()}
    units = {name: float((where.mean(axis=0) > _MOSTLY).mean()) for name, where in flat.items()}
    name = max(steps, key=steps.__getitem__)
    if steps[name] < _STEPS and max(units.values()) < _FEW:
        return
    yield Finding(
        kind="saturated-units",
        severity="error" if steps[name] > _NEARLY_ALL else "warning",
        title=f"The units of {_said(name)} are saturated at {steps[name]:.0%} of the words",
        why="A saturated unit hardly changes whatever it reads, and no gradient passes through it: it does not learn.",
        remedy="--set model.init=torch --lr 0.002",
        figures={"saturated_steps": steps, "saturated_units": units},
    )


def find_one_sided(subject: Subject) -> Iterator[Finding]:
    """Recurrent weights that are mostly of one sign, as they are when they start at U[0, 1)."""
    if subject.network is None:
        return
    found = {name: _one_sided(tensor) for name, tensor in _recurrent_weights(subject.tensors).items()}
    if not found:
        return
    name = max(found, key=lambda name: found[name][1])
    offset, push, positive = found[name]
    if offset < _ONE_SIDED or push < _PUSH:
        return
    yield Finding(
        kind="start-values",
        severity="error" if push > 4 * _PUSH else "warning",
        title=f"{positive:.0%} of the weights from state to state are above 0 ({name})",
        why=f"Then all units push the same way: together they move each by {push:.1f}, which drives it to the flat end "
        "of its function. Weights drawn around 0 cancel out.",
        remedy="--set model.init=torch",
        figures={
            name: {"standard_deviations_from_zero": offset, "push": push, "above_zero": positive}
            for name, (offset, push, positive) in found.items()
        },
    )


def find_dead(subject: Subject) -> Iterator[Finding]:
    """Features that are the same for every text, and rectified units that are never above 0."""
    inside = subject.inside
    if inside is None or len(inside.features) < 2:
        return
    spread = inside.features.std(axis=0)
    still = spread <= _SILENT * max(spread.max(), 1e-12)
    shares = {"features": float(still.mean())}
    shares |= {name: float((fired == 0).mean()) for name, fired in inside.fired.items() if name != "features"}
    name = max(shares, key=shares.__getitem__)
    if shares[name] < _FEW:
        return
    yield Finding(
        kind="dead-units",
        severity="error" if shares[name] > _MANY else "warning",
        title=f"{shares[name]:.0%} of the units of {_said(name)} say the same of every text",
        why="The head learns nothing from a unit that never changes, and the unit itself gets no gradient back.",
        remedy="Train anew with smaller steps (--lr), or with fewer units (--set model.hidden_size=...).",
        figures={"dead_units": shares, "spread": {"least": float(spread.min()), "most": float(spread.max())}},
    )


def _recurrent_weights(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("cell.weight_hh")}


def _one_sided(weight: np.ndarray) -> tuple[float, float, float]:
    """The mean's distance from 0 in standard deviations, what the mean of a row adds up to, and the share above 0."""
    mean = float(weight.mean())
    return abs(mean) / max(float(weight.std()), 1e-12), abs(mean) * weight.shape[1], float((weight > 0).mean())


def _said(name: str) -> str:
    return {"features": "the last layer"}.get(name, f"the gate {name!r}" if " " in name else f"the layer {name!r}")
