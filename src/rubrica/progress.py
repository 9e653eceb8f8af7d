"""A bar with an ETA, for a person: on a terminal's stderr, where log lines appear above it, or below a notebook's cell.

It is silent off a terminal and with `-q`.
"""

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
_EVERY = 0.2  # seconds between two pictures of a notebook's bar: each is a message to the browser
_PATIENCE = 1.0  # seconds without a bar: what is read sooner needs none


def silent(title: str, done: int, total: int) -> None:
    """A `Show` that shows nothing."""


@contextmanager
def progress_bar(title: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """Show a bar of `total` units of work, of which some are done, while the block runs; None where nobody knows."""
    if not _is_wanted():
        yield lambda note: None
        return
    if in_notebook():
        bar: Any = NotebookBar()
    else:
        from rich.progress import MofNCompleteColumn

        bar = _make_bar(MofNCompleteColumn())
    with bar:
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
            if in_notebook():
                self._bar = NotebookBar()
            else:
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
    if not (sys.stderr.isatty() or in_notebook()):
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


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class NotebookBar:
    """A bar below a notebook's cell, with the methods of rich's `Progress` that are used here.

    rich's own needs ipywidgets, and a notebook that is opened later would not show it.
    """

    def __init__(self) -> None:
        self.task_ids = [0]
        self._title, self._total, self._done = "", 0.0, 0.0
        self._fields: dict[str, str] = {}
        self._began = self._drawn = time.monotonic()
        self._handle: Any = None

    def __enter__(self) -> "NotebookBar":
        return self

    def __exit__(self, *fault: object) -> None:
        self.stop()

    def start(self) -> None:
        """Show the bar."""
        self._draw()

    def stop(self) -> None:
        """Show the bar as it ended."""
        self._draw()

    def add_task(self, title: str, total: float | None, completed: float = 0, **fields: str) -> int:
        """Begin with some work done, of a total that may be unknown."""
        self.reset(0, title, total)
        self._done, self._fields = completed, fields
        return 0

    def reset(self, task: int, description: str, total: float | None) -> None:
        """Begin anew."""
        self._title, self._total, self._done, self._began = description, total or 0.0, 0.0, time.monotonic()

    def update(self, task: int, advance: float = 0, completed: float | None = None, **fields: str) -> None:
        """Take in what was done, and show it if the last picture is old."""
        self._done = self._done + advance if completed is None else completed
        self._fields |= fields
        if time.monotonic() - self._drawn > _EVERY:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        from rubrica.notebook import bar, row

        self._drawn = time.monotonic()
        share, took = min(1.0, self._done / self._total) if self._total else 0.0, self._drawn - self._began
        left = f", {took * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
        amount = self._fields.get("amount") or (f"{share:.0%}" if self._total else f"{self._done:,.0f}")
        html = HTML(row(self._title, bar(share, amount), self._fields.get("note", ""), f"{took:.0f} s{left}"))
        if self._handle is None:
            self._handle = display(html, display_id=True)
        else:
            self._handle.update(html)
