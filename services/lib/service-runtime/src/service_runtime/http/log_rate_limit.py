"""How many log lines a second strangers can cause; the rest is counted, and said with the next line."""

import time
from collections.abc import Callable
from typing import Final

LINES_PER_SECOND: Final = 5.0
LINE_BURST: Final = 20.0


class LogRateLimit:
    """Of one process. What is not logged is still counted by its metric."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at, self._left, self._suppressed = clock, clock(), LINE_BURST, 0

    def acquire(self) -> int | None:
        """How many lines were left out before this one; None where this one is to be left out, too."""
        now = self._clock()
        self._left = min(LINE_BURST, self._left + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        if self._left < 1:
            self._suppressed += 1
            return None
        self._left -= 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
