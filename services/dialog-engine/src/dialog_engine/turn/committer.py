"""Stores a turn, and once more when an interruption has truncated the stored reply.

The next prompt must not wait for the disk. The session therefore gets the turn at once, and the
turn is removed again if the commit fails. A turn is not stored if another engine has acquired the
session meanwhile, because two engines could store different replies under one number.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import apsw
import structlog

from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.ports import TurnHost
from dialog_engine.turn.request import TurnRequest
from dialog_sqlite.errors import StoreClosed
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("turn")
Outcome = Callable[[str | None], None]

LEASE_LOST: Final = "another engine acquired the session before the turn was stored"
FAILED: Final = "the turn could not be stored"


class TurnCommitter:
    """Commits of one turn; a commit begins when the one before has ended."""

    def __init__(self, request: TurnRequest, host: TurnHost, tasks: BackgroundTasks) -> None:
        self._request, self._host, self._tasks = request, host, tasks
        self._last: asyncio.Task[None] | None = None
        self.stored = False
        self._pending = 0

    def commit(self, turn: StoredTurn, outcome: Outcome) -> None:
        """Begin to store the turn, and add it to the next prompt at once.

        `outcome` is called with None when the turn is durable, else with the problem. The task
        refers to `outcome` until then, which keeps a stopped turn in memory during its last commit.
        """
        self._host.add_record(turn.record())
        self._pending += 1
        self._last = self._tasks.start("commit", self._commit(turn, self._last, outcome))

    @property
    def is_number_used(self) -> bool:
        """Whether the turn is stored, or a commit is in progress."""
        return self.stored or self._pending > 0

    async def wait_idle(self) -> None:
        """Wait until the last commit so far has ended."""
        if self._last is not None:
            await asyncio.wait([self._last])

    async def _commit(
        self, turn: StoredTurn, before: asyncio.Task[None] | None, outcome: Outcome
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        began = time.monotonic()
        # A truncation (revision 1) needs no lease: it belongs to a turn that was stored here, also
        # if another engine has the session now.
        if not turn.revision and not await self._host.holds_lease(self._request.epoch):
            log.error(
                "not_stored", reason="another engine has the session's lease now", turn=turn.turn
            )
            self._host.drop_record(self._request.turn)
            self._pending -= 1
            outcome(LEASE_LOST)
            return
        if turn.revision and not self.stored:
            # The first commit failed and the caller got an error, so the truncated reply must not
            # be stored either.
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
