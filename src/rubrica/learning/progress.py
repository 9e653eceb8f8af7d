"""A bar on stderr with an ETA, for a person; silent off a terminal, and in all processes but the first of a team."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rubrica.environment import processes

Advance = Callable[[str], None]
"""Called once per unit of work with what to show beside the bar."""
Progress = Callable[[float, float, float], None]
"""Called with the share that is done, the mean loss and the step size."""

_TICKS = 200  # steps of a bar that shows a share; a terminal is hardly wider


@contextmanager
def progress_bar(title: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """Show a bar of `total` units of work, of which some are done, while the block runs; None where nobody knows."""
    if not sys.stderr.isatty() or processes()[0]:
        yield lambda note: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}"), rich.TimeElapsedColumn(), rich.TextColumn("ETA"),
        rich.TimeRemainingColumn(),
    )  # fmt: skip
    # The library puts what is written to sys.stderr meanwhile above the bar.
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")
        yield lambda note: bar.update(task, advance=1, note=note)


@contextmanager
def share_bar(title: str) -> Iterator[Progress]:
    """Show a bar of a training that says which share of it is done while the block runs."""
    with progress_bar(title, _TICKS) as advance:
        ticks = 0

        def show(share: float, loss: float, lr: float) -> None:
            nonlocal ticks
            while ticks < round(share * _TICKS):
                ticks += 1
                advance(f"loss {loss:.4f} lr {lr:.4f}")

        yield show
