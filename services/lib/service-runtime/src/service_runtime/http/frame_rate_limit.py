"""Limits the frames per second of one connection."""

import time
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 1.0


class FrameRateLimit:
    """Counts frames in consecutive windows of 1 s.

    A burst across the border of two windows is split between them. Call `exceeded` with every
    frame.
    """

    def __init__(self, a_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self._clock = a_second, clock
        self._began, self._count = clock(), 0

    def exceeded(self) -> bool:
        """Count a frame; returns whether it is over the limit."""
        now = self._clock()
        if now - self._began > WINDOW_S:
            self._began, self._count = now, 0
        self._count += 1
        return self._count > self.per_second
