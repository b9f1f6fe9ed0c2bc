"""Waits for an engine, where no legacy pipeline answers meanwhile.

A turn waits while an engine is being replaced, or while a session moves to another engine.
"""

import asyncio
from typing import Final

import structlog

from dialog_contracts.http import ChatRequest, Command, TurnType
from dialog_telemetry import metrics
from input_handler.engine.guard import UNREACHABLE
from input_handler.engine.session_router import FAILOVER_REASONS
from input_handler.engine.turn_stream import EnginePath, TurnStream
from input_handler.errors import EngineFailed

log = structlog.get_logger("turn")

POLL_INTERVAL_S: Final = 0.2

UNRESPONSIVE_WAIT_S: Final = 5.0
"""Longest wait for an engine that hangs.

Its lease ends after three seconds, and then another has its sessions.
"""


class WaitForEngine:
    """Calls `path` again until it answers, for `wait_s` seconds at most; 0 calls it once."""

    def __init__(self, path: EnginePath, wait_s: float) -> None:
        self._path, self._wait_s = path, wait_s

    async def open(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> TurnStream:
        """See `EnginePath`. A STOP does not wait: its turn is gone with its engine."""
        clock = asyncio.get_running_loop().time
        stops = request.type is TurnType.COMMAND and request.content == Command.STOP
        wait_s = 0 if stops else self._wait_s
        began, hangs_since, waited = clock(), None, False
        while True:
            try:
                # The requestId makes repeated calls one turn.
                stream = await self._path.open(request, last_event_id, traceparent, again=again)
            except EngineFailed as failure:
                if failure.reason not in FAILOVER_REASONS:
                    raise
                if failure.reason in UNREACHABLE:
                    until, hangs_since = began + wait_s, None
                else:
                    hangs_since = clock() if hangs_since is None else hangs_since
                    until = hangs_since + min(wait_s, UNRESPONSIVE_WAIT_S)
                if clock() + POLL_INTERVAL_S > until:
                    if waited:
                        metrics.ENGINE_WAITS.labels(outcome="in_vain").inc()
                    raise
                if not waited:
                    waited = True
                    log.info("waiting_for_engine", reason=str(failure), seconds=wait_s)
            else:
                if waited:
                    metrics.ENGINE_WAITS.labels(outcome="came").inc()
                return stream
            await asyncio.sleep(POLL_INTERVAL_S)

    def circuit_open(self, session_id: str) -> bool:
        """See `EnginePath`."""
        return self._path.circuit_open(session_id)
