"""Background tasks with an owner.

Every task has a name, its crash is logged and counted, and all tasks end with their owner.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from dialog_telemetry import metrics

log = structlog.get_logger("tasks")

RECANCEL_INTERVAL_S: Final = 1.0
"""Seconds until a task is cancelled again; longer than any clean-up takes."""


class BackgroundTasks:
    """Owns the tasks of one component. `close` cancels and awaits them all.

    Until `close`, `over` is called with the name of each task that has ended, and with its error if
    it crashed, so that a component learns when a task it depends on has ended for any reason.
    """

    def __init__(self, over: Callable[[str, BaseException | None], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._on_ended = over

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` once; an error ends only this task. Raises RuntimeError after `close`."""
        if self._closed:
            work.close()
            raise RuntimeError(f"cannot start {name}: its owner is closed")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def run_forever(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        pause_s: float = 0.5,
        pause_max_s: float = 10.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Repeat `work` until the owner is closed or `wanted` returns False.

        The pause between runs doubles from `pause_s` to `pause_max_s`; a run that lasted longer
        than `pause_max_s` resets it.
        """
        self.start(name, self._repeat(name, work, pause_s, pause_max_s, wanted))

    async def _repeat(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        pause_s: float,
        pause_max_s: float,
        wanted: Callable[[], bool],
    ) -> None:
        pause = pause_s
        while wanted():
            began = asyncio.get_running_loop().time()
            try:
                await work()
            # The boundary of background work: an error is logged and counted, and the work is
            # started again.
            except Exception as error:  # noqa: BLE001
                self._report(name, error)
            if asyncio.get_running_loop().time() - began > pause_max_s:
                pause = pause_s
            await asyncio.sleep(pause)
            pause = min(pause * 2, pause_max_s)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report(task.get_name(), error)
        if self._on_ended is not None and not self._closed:
            self._on_ended(task.get_name(), error)

    @staticmethod
    def _report(name: str, error: BaseException) -> None:
        metrics.TASK_CRASHES.labels(task=name.partition(" ")[0]).inc()
        log.error("task_crashed", task=name, error=repr(error)[:200], exc_info=error)

    async def wait_idle(self) -> None:
        """Wait until no task runs."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        self._closed = True
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # redis-py on Python 3.11 sometimes swallows a cancellation in the middle of a call: a
            # task that continues is cancelled again.
            await asyncio.wait(self._tasks, timeout=RECANCEL_INTERVAL_S)
