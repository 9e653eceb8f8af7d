"""A bar on stderr with an ETA, for a person; silent off a terminal and with NO_COLOR uncoloured (rich sees to it)."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

Advance = Callable[[str], None]
"""Called once per unit of work with what to show beside the bar."""


@contextmanager
def progress_bar(title: str, total: int, stop_at: float = math.inf) -> Iterator[Advance]:
    """Show a bar while the block runs.

    Args:
        title: What is being done.
        total: Units of work.
        stop_at: When there is no more time for them, on the clock of `time.perf_counter`.

    Raises:
        KeyboardInterrupt: From the call after a unit of work, when there is no more time.
    """

    def check_time() -> None:
        if time.perf_counter() > stop_at:
            log.warning("%s: the machine is slower than it was on trial, and the time is over", title)
            raise KeyboardInterrupt  # whoever works on knows how to end well

    if not sys.stderr.isatty():
        yield lambda note: check_time()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(note: str) -> None:
            progress.update(task, advance=1, note=note)
            check_time()

        yield advance
