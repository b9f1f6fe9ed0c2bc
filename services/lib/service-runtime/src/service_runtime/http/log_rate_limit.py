"""Limits the log lines per second that clients can cause.

Suppressed lines are counted, and the count is logged with the next line.
"""

import time
from collections.abc import Callable
from typing import Final

LINES_PER_SECOND: Final = 5.0
LINE_BURST: Final = 20.0


class LogRateLimit:
    """Rate limit of one process. Suppressed events are still counted by their metrics."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at, self._left, self._suppressed = clock, clock(), LINE_BURST, 0

    def acquire(self) -> int | None:
        """Return how many lines were suppressed before this one.

        None when this one is suppressed too.
        """
        now = self._clock()
        self._left = min(LINE_BURST, self._left + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        if self._left < 1:
            self._suppressed += 1
            return None
        self._left -= 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
