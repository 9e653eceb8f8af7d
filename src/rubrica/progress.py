"""A bar on stderr with an ETA, for a person; silent off a terminal and with `-q`. Log lines appear above it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Advance = Callable[[str], None]
"""Called once per unit of work with what to show beside the bar."""
Progress = Callable[[float, float, float], None]
"""Called with the share that is done, the mean loss and the step size."""
Show = Callable[[str, int, int], None]
"""Called with what is read, how many of its bytes are behind us, and how many it has (0: unknown)."""

_TICKS = 200  # steps of a bar that shows a share; a terminal is hardly wider
_PATIENCE = 1.0  # seconds without a bar: what is read sooner needs none


def silent(title: str, done: int, total: int) -> None:
    """A `Show` that shows nothing."""


@contextmanager
def progress_bar(title: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """Show a bar of `total` units of work, of which some are done, while the block runs; None where nobody knows."""
    if not _is_wanted():
        yield lambda note: None
        return
    from rich.progress import MofNCompleteColumn

    with _make_bar(MofNCompleteColumn()) as bar:
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


class BytesBar:
    """A bar of the bytes of files, one after the other. It appears once reading has taken a second.

    with BytesBar() as bar:
        bar.show("train.csv", 4 << 20, 80 << 20)

    Args:
        title: What stands before it until it is told what is read.
        patience: Seconds without a bar.
    """

    def __init__(self, title: str = "", patience: float = _PATIENCE) -> None:
        self._due = time.monotonic() + patience if _is_wanted() else float("inf")
        self._bar: Any = None
        self._now, self._note = (title, 0, 0), ""

    def __enter__(self) -> "BytesBar":
        return self

    def __exit__(self, *fault: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, text: str) -> None:
        """Say something beside the bar."""
        self._note = text
        self.show(*self._now)

    def show(self, title: str, done: int, total: int) -> None:
        """A `Show`. A new title, and bytes that come again, begin the bar anew."""
        before, self._now = self._now, (title, done, total)
        if time.monotonic() < self._due:
            return
        if self._bar is None:
            from rich.progress import TextColumn

            self._bar = _make_bar(TextColumn("{task.fields[amount]}"))
            self._bar.add_task(title, total=total or None, amount="", note="")
            self._bar.start()
        task = self._bar.task_ids[0]
        if title != before[0] or done < before[1]:
            self._bar.reset(task, description=title, total=total or None)
        amount = f"{done >> 20:,}/{total >> 20:,} MB" if total else f"{done >> 20:,} MB" if done else ""
        self._bar.update(task, completed=done, amount=amount, note=self._note)


def _is_wanted() -> bool:
    if not sys.stderr.isatty():
        return False
    import logging  # late: an answer needs none

    return logging.getLogger("rubrica").getEffectiveLevel() <= logging.WARNING  # `-q` lets errors alone pass


def _make_bar(amount: Any) -> Any:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"), rich.BarColumn(), amount, rich.TextColumn("{task.fields[note]}"),
        rich.TimeElapsedColumn(), rich.TextColumn("ETA"), rich.TimeRemainingColumn(),
    )  # fmt: skip
    # The library puts what is written to sys.stderr meanwhile above the bar. It would do so with answers on stdout,
    # too, and they would no longer reach the file or the program that stdout goes to.
    console, redirect = Console(stderr=True), sys.stdout.isatty()
    return rich.Progress(*columns, console=console, redirect_stdout=redirect, refresh_per_second=4)
