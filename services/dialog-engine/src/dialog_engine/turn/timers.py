"""Clock and timers of one turn."""

import asyncio
from collections.abc import Callable


class TurnTimers:
    """The clock starts when the object is created."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timers: list[asyncio.TimerHandle] = []
        self._closed = False

    def elapsed_ms(self) -> float:
        """Milliseconds since the turn began."""
        return (self._loop.time() - self._began) * 1000

    def call_later(self, seconds: float, work: Callable[[], None]) -> None:
        """Call `work` after this time, unless `close` is called before."""
        if not self._closed:
            self._timers.append(self._loop.call_later(seconds, work))

    def close(self) -> None:
        """Cancel all timers; later calls of `call_later` have no effect."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
