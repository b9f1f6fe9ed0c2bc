"""Stores a turn: as it was written, and once more when a stop has cut what was stored."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import apsw
import structlog

from dialog_engine.errors import StoreClosed
from dialog_engine.memory_shortterm import StoredTurn
from dialog_engine.turn.ports import TurnHost
from dialog_engine.turn.request import TurnRequest
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("turn")
Outcome = Callable[[str | None], None]

LEASE_LOST: Final = "another engine took the session before the turn was stored"
FAILED: Final = "the turn could not be stored"


class TurnCommitter:
    """One turn's commits, one after the other."""

    def __init__(self, request: TurnRequest, host: TurnHost, tasks: BackgroundTasks) -> None:
        self._request, self._host, self._tasks = request, host, tasks
        self._last: asyncio.Task[None] | None = None
        self.stored = False
        self._pending = 0

    def commit(self, turn: StoredTurn, outcome: Outcome) -> None:
        """Begin to store it; the next prompt sees it at once. `outcome` hears None when it is durable, else the problem.

        Until then the commit holds whoever is told, who may have nobody else left; afterwards it does not.
        """
        self._host.add_record(turn.record())
        self._pending += 1
        self._last = self._tasks.start("commit", self._commit(turn, self._last, outcome))

    @property
    def is_number_used(self) -> bool:
        """It is, or a commit is on its way."""
        return self.stored or self._pending > 0

    async def wait_idle(self) -> None:
        """Wait until every commit so far is durable."""
        if self._last is not None:
            await asyncio.wait([self._last])

    async def _commit(
        self, turn: StoredTurn, before: asyncio.Task[None] | None, outcome: Outcome
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        began = time.monotonic()
        # What was heard of a turn is its own affair, also when the session has gone on elsewhere.
        if not turn.revision and not await self._host.holds_lease(self._request.epoch):
            log.error("not_stored", reason="another engine has this session now", turn=turn.turn)
            self._host.drop_record(self._request.turn)
            self._pending -= 1
            outcome(LEASE_LOST)
            return
        if turn.revision and not self.stored:
            # The caller was told that the turn is not stored; a later form of it must not say otherwise.
            self._host.drop_record(self._request.turn)
            self._pending -= 1
            outcome(FAILED)
            return
        try:
            await self._host.memory.commit(turn)
        except (apsw.Error, StoreClosed) as error:
            log.error("commit_failed", error=repr(error)[:200])
            if not self.stored:
                self._host.drop_record(self._request.turn)
            self._pending -= 1
            outcome(FAILED)
            return
        self.stored = True
        self._pending -= 1
        metrics.COMMIT_SECONDS.observe(time.monotonic() - began)
        outcome(None)
        self._host.on_stored()
