"""A bar on stderr with an ETA, for a person; silent off a terminal. Log lines appear above it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str], None]
"""Called once per unit of work with what to show beside the bar."""
Shares = Callable[[float, float, float], None]
"""Called with the share that is done, the mean loss and the step size."""
_TICKS = 200  # of a bar of shares: as many as a terminal is wide


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Advance]:
    """Show a bar of `total` units of work while the block runs."""
    if not sys.stderr.isatty():
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
        task = bar.add_task(title, total=total, note="")
        yield lambda note: bar.update(task, advance=1, note=note)


@contextmanager
def progress_of_shares(title: str) -> Iterator[Shares]:
    """Show a bar for a training that tells which share is done."""
    with progress_bar(title, _TICKS) as advance:
        ticks = 0

        def show(share: float, loss: float, lr: float) -> None:
            nonlocal ticks
            while ticks < round(share * _TICKS):
                ticks += 1
                advance(f"loss {loss:.4f} lr {lr:.4f}")

        yield show
