"""Signals that end a run: Ctrl-C, SIGTERM, or SIGHUP of a closed terminal.

The first signal asks the run to end in order. A second one kills all processes. If the run has not
ended 8.5 s after the first one, all processes are killed and this process exits, so that no
shutdown hangs.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

FORCE_AFTER_S: Final = 8.5
"""Seconds until the run is ended by force.

Programs that stop others commonly wait ten seconds before they kill them.
"""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Shutdown:
    """Context manager: signals set `asked`; `kill` ends all processes at once.

    It installs Python's signal handlers and not those of the event loop, which do not run while the
    loop is blocked in a system call. `leave` ends this process.
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
            # A signal that is ignored stays ignored, for example SIGHUP under nohup.
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
