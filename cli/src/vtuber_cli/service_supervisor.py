"""Keeps one process of a run going: what ends is started again after growing pauses, and the console says what is missing meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from vtuber_cli.console import Console
from vtuber_cli.processes import Processes, RunError
from vtuber_cli.restart_policy import RestartPolicy

CHECK_INTERVAL_S: Final = 0.1
WRONG_SETTINGS: Final = 2
"""A process that ends with this status can never start; any other may be chance."""

Start = Callable[[], Awaitable[None]]
Ready = Callable[[], Awaitable[tuple[bool, str]]]


class ServiceSupervisor:
    """`start` starts the process; `ready` says whether it is ready, else why not; `without`: what is missing without it."""

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
        """For ever. Raises CannotRun for a process whose settings are wrong: unless it ran well with them before."""
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
        """Until it is ready, or keeps ending, so that there is no use in waiting."""
        while not (self.is_ready or self._restarts.keeps_ending):
            self._changed.clear()
            await self._changed.wait()

    async def until_ready(self) -> None:
        """However long that takes."""
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
                f"{self._console.paint(f'{self.name} {why}', 'red')}; it is started again in {pause:.1f} s.{meanwhile} "
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
        """Until it is ready; that it is back is said where it was missing."""
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
