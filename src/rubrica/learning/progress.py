"""A bar on stderr with an ETA, for a person; silent off a terminal. Log lines appear above it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str], None]
"""Called once per unit of work with what to show beside the bar."""


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
