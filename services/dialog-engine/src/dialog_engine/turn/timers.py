"""The time of one turn: how long it has run, and what is to be done later in it."""

import asyncio
from collections.abc import Callable


class TurnTimers:
    """Begins with the turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timers: list[asyncio.TimerHandle] = []
        self._closed = False

    def elapsed_ms(self) -> float:
        """Since the turn began."""
        return (self._loop.time() - self._began) * 1000

    def call_later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do it then, unless the turn is over before."""
        if not self._closed:
            self._timers.append(self._loop.call_later(seconds, work))

    def close(self) -> None:
        """Nothing is left to do, nor will be."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
