"""How many log lines a second strangers can cause; the rest is counted, and said with the next line."""

import time
from collections.abc import Callable
from typing import Final

LINES_A_SECOND: Final = 5.0
LINES_AT_ONCE: Final = 20.0


class LineRate:
    """Of one process. What is not logged is still counted by its metric."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at, self._left, self._unsaid = clock, clock(), LINES_AT_ONCE, 0

    def take(self) -> int | None:
        """How many lines were left out before this one; None where this one is to be left out, too."""
        now = self._clock()
        self._left = min(LINES_AT_ONCE, self._left + (now - self._at) * LINES_A_SECOND)
        self._at = now
        if self._left < 1:
            self._unsaid += 1
            return None
        self._left -= 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
