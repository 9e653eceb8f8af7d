"""Requests that arrive together are answered together.

While a thread answers one batch, the requests that arrive make the next one. So nobody waits for a batch to fill, and
the more requests there are, the larger the batches become. The event loop only hands batches over.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from rubrica.serve.limits import Refused, overloaded

Answer = Callable[[list[str]], Sequence[Any]]
"""From texts to a row for each."""

_MOST = 1024  # texts of a batch: more make no text cheaper, and let others wait
_LOOK = 0.05  # seconds between two looks for requests that are past their deadline


class Asked(NamedTuple):
    """A request that waits for its rows.

    Args:
        texts: Its texts.
        answered: Where the rows go.
        due: Until when, on the clock of `time.monotonic`.
    """

    texts: list[str]
    answered: asyncio.Future[Sequence[Any]]
    due: float


class Batches:
    """The requests that wait, and the one thread that answers.

    Args:
        most_waiting: Texts that wait or are being answered; a request beyond them is refused.
        deadline: Seconds in which a request is answered or given up.
        measure: Is told the number of texts of each batch.
    """

    def __init__(self, most_waiting: int, deadline: float, measure: Callable[[int], None]) -> None:
        self.most_waiting, self.deadline, self.measure = most_waiting, deadline, measure
        self.waiting = 0
        """Texts that wait or are being answered."""
        self._pending: dict[Hashable, tuple[Answer, list[Asked]]] = {}
        self._at_work: list[Asked] = []
        self._scheduled = False
        self._work: queue.SimpleQueue[tuple[Answer, list[Asked]] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop
        self._clock: asyncio.TimerHandle

    def start(self) -> None:
        """Begin to answer in the loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.call_later(_LOOK, self._give_up_late)
        threading.Thread(target=self._serve, name="rubrica-answers", daemon=True).start()

    def close(self) -> None:
        """End the thread."""
        self._clock.cancel()
        self._work.put(None)

    def ask(self, key: Hashable, answer: Answer, texts: list[str]) -> asyncio.Future[Sequence[Any]]:
        """The rows of some texts, later.

        Args:
            key: Requests with the same key may be answered in one call.
            answer: What answers them.
            texts: The texts.

        Raises:
            Refused: If too many texts wait already; the future, if the deadline passes.
        """
        count = len(texts) or 1
        if self.waiting + count > self.most_waiting:
            raise overloaded()
        self.waiting += count
        answered: asyncio.Future[Sequence[Any]] = self._loop.create_future()
        asked = Asked(texts, answered, time.monotonic() + self.deadline)
        if (found := self._pending.get(key)) is not None:
            found[1].append(asked)
        else:
            self._pending[key] = (answer, [asked])
        if not self._scheduled and not self._at_work:
            # Not at once: other requests of this turn of the loop join the batch.
            self._scheduled = True
            self._loop.call_soon(self._start_next)
        return answered

    def _start_next(self) -> None:
        """Give the requests that have waited longest to the thread."""
        self._scheduled = False
        while self._pending and not self._at_work:
            key, (answer, requests) = next(iter(self._pending.items()))
            count = end = 0
            while end < len(requests) and (not end or count + len(requests[end].texts) <= _MOST):
                count += len(requests[end].texts)
                end += 1
            del self._pending[key]
            if end < len(requests):  # the others go to the end of the line
                self._pending[key] = (answer, requests[end:])
            self._at_work = [asked for asked in requests[:end] if not asked.answered.done()]
            self._leave(asked for asked in requests[:end] if asked.answered.done())
        if self._at_work:
            self._work.put((answer, self._at_work))

    def _leave(self, requests: Any) -> None:
        self.waiting -= sum(len(asked.texts) or 1 for asked in requests)

    def _serve(self) -> None:
        """The thread: answer batch after batch."""
        while (work := self._work.get()) is not None:
            answer, requests = work
            rows: Sequence[Any] | BaseException
            try:
                rows = answer([text for asked in requests for text in asked.texts])
            except BaseException as error:  # whatever it is, the requests get it, and the thread goes on
                rows = error
            try:
                self._loop.call_soon_threadsafe(self._finish, requests, rows)
            except RuntimeError:  # the loop has ended
                return

    def _finish(self, requests: list[Asked], rows: Sequence[Any] | BaseException) -> None:
        """Hand the rows of a batch out, and start the next one."""
        self._at_work = []
        self._leave(requests)
        self._start_next()
        first = 0
        for asked in requests:
            end = first + len(asked.texts)
            if asked.answered.done():
                pass
            elif isinstance(rows, BaseException):
                asked.answered.set_exception(rows)
            else:
                asked.answered.set_result(rows[first:end])
            first = end
        self.measure(first)

    def _give_up_late(self) -> None:
        """Refuse the requests that are past their deadline. Those that still wait are never computed."""
        self._clock = self._loop.call_later(_LOOK, self._give_up_late)
        now = time.monotonic()
        for requests in [*(found for _, found in self._pending.values()), self._at_work]:
            for asked in requests:
                if asked.due < now and not asked.answered.done():
                    asked.answered.set_exception(too_late())


def too_late() -> Refused:
    """The refusal of a request whose deadline has passed."""
    return Refused(
        504, "deadline_exceeded", "the answer took longer than the server allows; send fewer or shorter texts"
    )
