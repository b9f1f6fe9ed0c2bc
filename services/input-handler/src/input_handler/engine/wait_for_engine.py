"""The main path where nobody else would answer: a turn waits for an engine that is being replaced, or for a session that changes hands."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import structlog

from dialog_contracts.http import ChatRequest, Command, TurnType
from dialog_contracts.sse import SseFrame
from dialog_telemetry import metrics
from input_handler.engine.guard import UNREACHABLE
from input_handler.engine.session_router import FAILOVER_REASONS, EnginePath
from input_handler.errors import EngineFailed

log = structlog.get_logger("turn")

POLL_INTERVAL_S: Final = 0.2

UNRESPONSIVE_WAIT_S: Final = 5.0
"""So long for an engine that hangs: after its lease (three seconds) another one has its sessions. Alone, it is not waited for longer."""


class WaitForEngine:
    """`path`, asked again for `wait_s` at most until it begins to answer. Zero: never, as the legacy chain answers meanwhile."""

    def __init__(self, path: EnginePath, wait_s: float) -> None:
        self._path, self._wait_s = path, wait_s

    async def events(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> AsyncGenerator[SseFrame, None]:
        """See `MainPath`. A STOP does not wait: what it is for is gone with its engine."""
        clock = asyncio.get_running_loop().time
        stops = request.type is TurnType.COMMAND and request.content == Command.STOP
        # However often it is asked: by its requestId it is one turn.
        wait_s = 0 if stops else self._wait_s
        began, hangs_since, waited = clock(), None, False
        while True:
            begun = False
            try:
                async with aclosing(
                    self._path.events(request, last_event_id, traceparent, again=again)
                ) as frames:
                    async for frame in frames:
                        if waited and not begun:
                            metrics.ENGINE_WAITS.labels(outcome="came").inc()
                        begun = True
                        yield frame
                return
            except EngineFailed as failure:
                if begun or failure.reason not in FAILOVER_REASONS:
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
            await asyncio.sleep(POLL_INTERVAL_S)

    def circuit_open(self, session_id: str) -> bool:
        """See `MainPath`."""
        return self._path.circuit_open(session_id)
