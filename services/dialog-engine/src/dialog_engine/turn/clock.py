"""The time of one turn: how long it has run, and what is to be done later in it."""

import asyncio
import time
from collections.abc import Callable


class TurnClock:
    """Begins with the turn."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._timers: list[asyncio.TimerHandle] = []

    def ms(self) -> float:
        """Since the turn began."""
        return (time.monotonic() - self._began) * 1000

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do it then, unless the turn is over before."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, work))

    def end(self) -> None:
        """Nothing is left to do."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
