"""When a turn's sound has died away."""

import asyncio
from collections.abc import Callable


class ResettableTimer:
    """Calls `idle` once, some seconds after it was last set."""

    def __init__(self, idle: Callable[[], None]) -> None:
        self._callback = idle
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, seconds: float) -> None:
        """Set it, or set it anew."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._callback)

    def cancel(self) -> None:
        """Something goes on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
