"""Restarts one process of a run when it ends.

A run must survive the crash of any service, so each process has a supervisor. It waits until the
process ends, tells the user what is missing until it is back, pauses, and starts it again. The
pauses grow while the process keeps ending (`restart_policy.py`). Meanwhile a second task polls
`/readyz`, since a process that runs may not be ready.

A process that has never been ready and ends with status 2 has invalid settings. A restart cannot
help then, so the run ends with the message of the process.

`run.py` starts the supervisors. Child processes are in `process.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from vtuber_cli.console import Console
from vtuber_cli.processes import Processes, RunError
from vtuber_cli.restart_policy import RestartPolicy

CHECK_INTERVAL_S: Final = 0.1
WRONG_SETTINGS: Final = 2
"""Exit status of a process with invalid settings."""

Start = Callable[[], Awaitable[None]]
Ready = Callable[[], Awaitable[tuple[bool, str]]]


class ServiceSupervisor:
    """Supervisor of the process `name`, which has been started once.

    `start` starts the process. `ready` returns whether it is ready, and why not. `without` is a
    clause that says what is missing meanwhile.
    """

    def __init__(
        self,
        name: str,
        processes: Processes,
        console: Console,
        start: Start,
        ready: Ready,
        *,
        without: str,
    ) -> None:
        self.name, self.without = name, without
        self._processes, self._console, self._start, self._ready = processes, console, start, ready
        self._restarts = RestartPolicy()
        self._was_ready = False
        self._changed = asyncio.Event()
        self.is_ready = False
        self.reason = "it has not answered yet"
        """Why it is not ready."""

    async def run(self) -> None:
        """Restart the process until cancelled. Raises RunError if its settings are invalid."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            looking = asyncio.create_task(self._check_ready())
            try:
                status = await self._processes.wait(self.name)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
            self._set(ready=False, because=f"it ended with status {status}")
            if status == WRONG_SETTINGS and not self._was_ready:
                raise RunError(self._processes.refusal(self.name))
            await self._restart(status, loop.time() - began)

    async def settled(self) -> None:
        """Wait until it is ready, or keeps ending so that waiting is useless."""
        while not (self.is_ready or self._restarts.keeps_ending):
            self._changed.clear()
            await self._changed.wait()

    async def until_ready(self) -> None:
        """Wait until it is ready, without a limit."""
        while not self.is_ready:
            self._changed.clear()
            await self._changed.wait()

    async def _restart(self, status: int, lived_s: float) -> None:
        why = f"ended with status {status}"
        while True:
            pause = self._restarts.pause(lived_s)
            self._changed.set()
            meanwhile = f" Until then {self.without}." if self.without else ""
            self._console.say(
                f"{self._console.paint(f'{self.name} {why}', 'red')}; restarting in {pause:.1f} s.{meanwhile} "
                f"Its log: {self._processes.log_of(self.name)}"
            )
            await asyncio.sleep(pause)
            try:
                await self._start()
            except RunError as error:
                why, lived_s = f"cannot be started ({error})", 0.0
            else:
                return

    async def _check_ready(self) -> None:
        """Poll until it is ready; after a restart, tell the user that it is back."""
        again = self._restarts.any
        while True:
            ready, why = await self._ready()
            if ready:
                break
            self.reason = why
            await asyncio.sleep(CHECK_INTERVAL_S)
        self._was_ready = True
        self._set(ready=True, because="")
        if again:
            self._console.say(f"{self._console.paint(f'{self.name} is back.', 'green')}")

    def _set(self, *, ready: bool, because: str) -> None:
        self.is_ready, self.reason = ready, because
        self._changed.set()
