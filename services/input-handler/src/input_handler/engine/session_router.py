"""Routes each session's turns to the engine that holds its lease.

input-handler asks no registry. It calls the session's home engine (rendezvous hashing); an engine
without the lease answers 421 `not_owner` and names the holder, which is called instead and
remembered. An engine that is not reached or hangs is passed over, since another engine holds the
lease already, or acquires it when it expires.
"""

from collections import OrderedDict
from typing import Final

import structlog

from dialog_contracts.http import ChatRequest
from dialog_telemetry import metrics
from input_handler.engine.guard import UNREACHABLE, UNRESPONSIVE
from input_handler.engine.pool import EnginePool
from input_handler.engine.turn_stream import TurnStream
from input_handler.errors import EngineFailed, EngineRefused

log = structlog.get_logger("session_router")

NOT_LEASE_HOLDER: Final = "not_owner"
FAILOVER_REASONS: Final = UNREACHABLE | UNRESPONSIVE
"""Reasons to try another engine."""

MAX_RELOCATED: Final = 10_000


class SessionRouter:
    """Remembers the engine of at most `MAX_RELOCATED` sessions that are away from home."""

    def __init__(self, engines: EnginePool) -> None:
        self._engines = engines
        self._relocated: OrderedDict[str, int] = OrderedDict()

    async def open(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> TurnStream:
        """See `EnginePath`.

        An engine that is not reached is passed over; any other error of an engine is the turn's.
        """
        session_id = request.session_id
        candidates = self._engines.candidates(session_id)
        waiting = candidates
        if session_id in self._relocated:
            waiting = [self._relocated[session_id], *candidates]
        asked: set[int] = set()
        failure = EngineFailed("not_reached")
        while (ordinal := next((one for one in waiting if one not in asked), None)) is not None:
            asked.add(ordinal)
            path = await self._engines.get(ordinal)
            if path is None:
                break
            try:
                stream = await path.open(request, last_event_id, traceparent, again=again)
            except EngineRefused as error:
                if error.body.code != NOT_LEASE_HOLDER:
                    raise
                owner = error.body.owner
                if owner is None or owner in asked:
                    # The lease holder is the engine that did not answer. No other engine may have
                    # the session before its lease has expired.
                    raise failure from error
                reason, waiting = NOT_LEASE_HOLDER, [owner]
            except EngineFailed as error:
                if error.reason not in FAILOVER_REASONS:
                    raise
                reason, failure = error.reason, error
            else:
                self._remember(session_id, ordinal, home=candidates[0])
                return stream
            metrics.ENGINE_FAILOVERS.labels(reason=reason).inc()
            log.info("engine_failover", session=session_id, reason=reason, engine=ordinal)
        raise failure

    def circuit_open(self, session_id: str) -> bool:
        """See `EnginePath`."""
        return self._engines.circuit_open(session_id)

    def _remember(self, session_id: str, ordinal: int, *, home: int) -> None:
        """Keep the session's engine, unless it is the home engine."""
        self._relocated.pop(session_id, None)
        if ordinal != home:
            self._relocated[session_id] = ordinal
            while len(self._relocated) > MAX_RELOCATED:
                self._relocated.popitem(last=False)
