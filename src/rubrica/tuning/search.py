"""The search: trial after trial, each judged part by part, until the time that the final training leaves is over.

The defaults are the first trial. After each part a trial is compared with the best one on the same texts, and given up
where it is clearly behind. In the end the best trial must lead the defaults by more than luck (`scoring/paired.py`);
else the defaults are what is trained.

Where there is no time to judge the defaults nothing is searched, and they are trained in the time that is left.

The clock decides how many trials there are, how many parts judge each, and which trials are too slow. The parts of the
defaults take an eighth of the time at most. Given these, the same seed tries the same settings in the same order.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from rubrica.errors import ConfigError, FileError, RubricaError
from rubrica.export.shrink import TooLargeError
from rubrica.progress import progress_bar
from rubrica.scoring import paired
from rubrica.tuning.choice import chances_of, ranked
from rubrica.tuning.parts import Judged, LateError, Parts
from rubrica.tuning.store import Store, Tried

log = logging.getLogger(__name__)

_DEFAULT_SHARE = 8  # the defaults may take an eighth of the time
_MARGIN = 1.3  # the final training may take this many times as long as it is guessed to
_SAVING = 1.0  # seconds: for scores and files behind the final training
_SLOW = 2  # trials of a family that are too slow, before the others are not begun
_UNFIT = 20  # proposals in a row that are not even begun, before the search ends
_ALL = 1000  # trials at the most: more would be compared for minutes in the end
_SURE = 0.01  # how likely luck may be where no more parts are asked
_CONFIRMING = 0.3  # of the time at most is kept to judge the best trial on further parts

Judge = Callable[[Tried, int, float], Judged]
"""Trains with a trial's settings and judges a part, within a number of seconds; see `parts.judge`."""
Show = Callable[[str], None]
"""Moves the bar, with what to show beside it."""


@dataclass
class Clock:
    """The time of a search, over all processes that worked on it.

    Args:
        seconds: In all.
        before: That earlier processes spent.
    """

    seconds: float
    before: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def spent(self) -> float:
        """Seconds until now."""
        return self.before + time.perf_counter() - self.began

    @property
    def left(self) -> float:
        """Seconds from now on; below 0 when the time is over."""
        return self.seconds - self.spent


class Search:
    """A search that runs.

    Args:
        store: What it keeps.
        parts: What judges.
        judge: Trains and judges.
        clock: Its time.
        most: Trials at most.
    """

    def __init__(self, store: Store, parts: Parts, judge: Judge, clock: Clock, most: int | None = None) -> None:
        self.store, self.parts, self.judge, self.clock = store, parts, judge, clock
        self.most = _ALL if most is None else min(most, _ALL)
        self.tried = store.tried()
        self.default: Tried | None = None
        self.best: Tried | None = None
        self.smallest: float = math.inf  # bytes, of the models that were too large
        self._passed_over = set[int]()
        self._rank()

    def _rank(self) -> None:
        """Find the best judged trial, and the trial of the defaults; None where one is missing."""
        judged = [tried for tried in ranked(self.tried) if tried.number not in self._passed_over]
        self.default = next((tried for tried in judged if tried.number == 0), None)
        self.best = judged[0] if judged else None

    def run(self) -> bool:
        """Search until the time is over; returns whether Ctrl-C ended it before.

        Raises:
            KeyboardInterrupt: After Ctrl-C, if there is nothing to train with yet.
            FileError: If a file cannot be written.
            ConfigError: If no training can begin with the settings of this machine.
        """
        with self._bar() as show:
            try:
                goes_on = True
                while goes_on:  # what is confirmed, or passed over, needs no time kept for it any more
                    before = self._trained()
                    self._try_others(show)
                    self._confirm(show)
                    goes_on = self._pass_over() or self._trained() > before
            except KeyboardInterrupt:
                if self.best is None:
                    raise
                return True
        return False

    def _try_others(self, show: Show) -> None:
        """Try settings as long as there is time, and some that fit into it are proposed."""
        unfit = 0
        while len(self.tried) < self.most and self._goes_on() and unfit < _UNFIT:
            tried = self.store.ask(self.best)
            if not self._try(tried, show):
                return
            unfit = 0 if tried.folds else unfit + 1
            self.tried.append(tried)
            self._rank()
            self._tell(tried)

    def _pass_over(self) -> bool:
        """Give the best trial up if its lead may be luck; returns whether it did."""
        best = self.best
        if best is None or self.default is None or best is self.default or len(self.tried) >= self.most:
            return False
        if self._chance() < paired.LEVEL:
            return False
        self._passed_over.add(best.number)
        self._rank()
        return True

    def _trained(self) -> int:
        """How many trials have met a part."""
        return sum(bool(tried.folds) for tried in self.tried)

    def final_seconds(self, tried: Tried) -> float:
        """What the training on all of train takes with a trial's settings, a rather high guess."""
        return self.parts.final_cost * tried.seconds * _MARGIN + _SAVING

    def _goes_on(self) -> bool:
        """Whether there is time for another part of any kind."""
        fastest = min((tried.seconds for tried in self.tried if tried.folds), default=0.0)
        if self._room() - self._confirming() > fastest:
            return True
        return self._room() > fastest and self._chance() < _SURE  # then nothing is to be confirmed

    def _chance(self) -> float:
        """How likely luck alone makes a trial lead as far as the best one does; 1 where that is the defaults."""
        if self.best is None or self.default is None or self.best is self.default:
            return 1.0
        return chances_of(self.tried, self.store.seed)[self.best.number]

    def _room(self) -> float:
        """Seconds for the next part: behind it there must be time to train with the best trial."""
        return self.clock.left - (0.0 if self.best is None else self.final_seconds(self.best))

    def _confirming(self) -> float:
        """Seconds that are kept to judge the best trial and the defaults on the parts that no trial has met."""
        best, default = self.best, self.default
        if best is None or default is None or best is default:
            return 0.0
        missing = self.parts.most - len(best.folds)
        return min(missing * (best.seconds + default.seconds), _CONFIRMING * self.clock.seconds)

    def _allowed(self) -> float:
        """Seconds that a part may take: if its trial wins, there must be time to train with it as well."""
        return min(self._room(), (self.clock.left - _SAVING) / (1 + _MARGIN * self.parts.final_cost))

    def _guess(self, tried: Tried) -> float:
        """Seconds that the next part of a trial takes, by its own parts or by trials of its family."""
        name = tried.proposal.tables["model"]["name"]
        alike = [other for other in self.tried if other.folds and other.proposal.tables["model"]["name"] == name]
        return tried.seconds or (median(other.seconds for other in alike) if alike else 0.0)

    def _is_hopeless(self, tried: Tried) -> bool:
        """Whether all trials of this family were too slow, and there were some."""
        name = tried.proposal.tables["model"]["name"]
        states = [each.state for each in self.tried if each.proposal.tables["model"]["name"] == name]
        return len(states) >= _SLOW and set(states) == {"too slow"}

    def _try(self, tried: Tried, show: Show) -> bool:
        """Judge a trial until it is done or given up; False if the time is over before."""
        if self._is_hopeless(tried):
            self.store.end(tried, "too slow", self.clock.spent, "as all trials of its family")
            return True
        while len(tried.folds) < (self.store.folds or 1):
            if self.best is not None and tried.folds and self._behind(tried, self.best):
                self.store.end(tried, "given up", self.clock.spent)
                return True
            try:
                if not self._judge_next(tried, show):
                    if not self._goes_on():
                        return False
                    raise LateError("its next part takes longer than there is time")
            except LateError as error:
                if not tried.number:  # without a score of the defaults, nothing could be said to be better
                    return False
                self.store.end(tried, "too slow", self.clock.spent, str(error))
                return True
            except TooLargeError as error:
                self.smallest = min(self.smallest, error.least)
                self.store.end(tried, "too large", self.clock.spent, f"{error.least:,} bytes at the least")
                return True
            except (RubricaError, MemoryError, RuntimeError) as error:  # torch has RuntimeErrors for want of memory
                if isinstance(error, FileError | ConfigError):
                    raise
                self.store.end(tried, "failed", self.clock.spent, _first_line(error))
                return True
        self.store.end(tried, "judged", self.clock.spent)
        return True

    def _judge_next(self, tried: Tried, show: Show) -> bool:
        """Judge a trial on its next part; False if there is no time for it."""
        allowed = self._allowed()
        if allowed <= self._guess(tried):
            return False
        show(f"trial {tried.number + 1}{'' if self.best is None else f', best {self.best.score:.4f}'}")
        judged = self.judge(tried, len(tried.folds), allowed)
        if self.store.folds is None:
            self.store.folds = self._affordable(judged.seconds)
        self.store.add(tried, judged, self.clock.spent)
        return True

    def _confirm(self, show: Show) -> None:
        """Judge the best trial and the defaults on more parts, unless its lead is beyond doubt already.

        All the time that is kept for this is used: a search that ended at the first lucky moment would end with luck.
        """
        while (best := self.best) and (default := self.default) and best is not default:
            if len(best.folds) >= self.parts.most or self._chance() < _SURE:
                return
            following = default if len(default.folds) == len(best.folds) else best
            try:
                if not self._judge_next(following, show):
                    return
            except (FileError, ConfigError):
                raise
            except (RubricaError, MemoryError, RuntimeError) as error:
                log.info("trial %d: no more parts are judged: %s", following.number + 1, _first_line(error))
                return
            self._rank()

    def _affordable(self, seconds: float) -> int:
        """How many parts judge a trial, if a part takes this number of seconds."""
        room = self.clock.seconds - self.parts.final_cost * seconds * _MARGIN
        return max(1, min(self.parts.folds, math.floor(room / (_DEFAULT_SHARE * max(seconds, 1e-6)))))

    def _behind(self, tried: Tried, best: Tried) -> bool:
        """Whether a trial is clearly behind the best one on the texts that it was judged on.

        The best one may have been lucky on the first parts, which all trials meet first. So a trial goes on as long as
        it leads the defaults by more there than the best one does on all its parts.
        """
        if len(tried.folds) >= len(best.folds) or not tried.lead(best).clearly_behind:
            return False
        return self.default is None or tried.lead(self.default).points < best.lead(self.default).points

    def _tell(self, tried: Tried) -> None:
        changes = tried.proposal.changes.items()
        settings = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in changes
        )
        lead = (
            f"{100 * tried.lead(self.default).points:+.2f} points, "
            if tried.folds and tried.number and self.default
            else ""
        )
        found = f"{lead}{tried.score:.4f}, {tried.seconds:.1f} s a part" if tried.folds else tried.note
        parts = f" after {len(tried.folds)} of {self.store.folds} parts" if tried.state == "given up" else ""
        log.info("trial %d: %s%s: %s (%s)", tried.number + 1, tried.state, parts, found, settings)

    @contextmanager
    def _bar(self) -> Iterator[Show]:
        """A bar of seconds, moved before each part."""
        with progress_bar("tune", round(self.clock.seconds), done=round(self.clock.before)) as advance:
            shown = round(self.clock.before)

            def show(note: str) -> None:
                nonlocal shown
                for _ in range(shown, round(min(self.clock.spent, self.clock.seconds))):
                    shown += 1
                    advance(note)

            yield show


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
