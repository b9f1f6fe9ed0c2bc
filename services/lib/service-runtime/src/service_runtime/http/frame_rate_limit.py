"""How many frames a second one connection may send."""

import time
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 1.0


class FrameRateLimit:
    """`passed` with every frame; windows follow each other, so a burst over the edge of two counts as two."""

    def __init__(self, a_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self._clock = a_second, clock
        self._began, self._count = clock(), 0

    def exceeded(self) -> bool:
        """Whether this frame is one too many."""
        now = self._clock()
        if now - self._began > WINDOW_S:
            self._began, self._count = now, 0
        self._count += 1
        return self._count > self.per_second
