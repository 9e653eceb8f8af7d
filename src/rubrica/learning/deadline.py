"""When a training has to be done. It is asked between two units of work, and never raises."""

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the clock of `time.perf_counter`; by default there is none."""

    at: float = math.inf

    @classmethod
    def after(cls, seconds: float | None) -> "Deadline":
        """The deadline after some seconds from now; None sets none."""
        return cls() if seconds is None else cls(time.perf_counter() + seconds)

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self.at < math.inf

    @property
    def left(self) -> float:
        """Seconds until then; below 0 afterwards."""
        return self.at - time.perf_counter()

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self.left < 0

    def with_reserve(self, share: float, least: float) -> "Deadline":
        """A deadline after this share of the time left, at least `least` seconds from now; none where there is none."""
        return Deadline(time.perf_counter() + max(least, share * self.left))


NEVER = Deadline()
"""No deadline."""
