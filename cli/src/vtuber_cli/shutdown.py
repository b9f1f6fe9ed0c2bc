"""What ends a run: Ctrl-C, SIGTERM or a terminal that closes. It is asked once, made at the second time, and certain after some seconds."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

FORCE_AFTER_S: Final = 8.5
"""All is over by then, whatever hangs: below the ten seconds that whoever stops a program commonly waits before he kills it."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Shutdown:
    """While the block runs, signals set `asked`; `kill` is called at the second one, and before the process is ended by force.

    Python's own handlers, not the loop's: those of a loop that is held by a system call are never run.
    """

    def __init__(
        self,
        kill: Callable[[], None],
        *,
        sure_after_s: float = FORCE_AFTER_S,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self.asked = asyncio.Event()
        self._kill, self._sure_after_s, self._leave = kill, sure_after_s, leave
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # Under nohup it is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGINT:
                self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._timer is not None:
            self._kill()
            return
        self._timer = threading.Timer(self._sure_after_s, self._force)
        self._timer.daemon = True
        self._timer.start()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.asked.set)

    def _force(self) -> None:
        self._kill()
        self._leave(1)
