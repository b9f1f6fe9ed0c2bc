"""The main path: each session's turns go to the engine that has it, and follow it when it moves."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

import structlog

from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import SseFrame
from dialog_telemetry import metrics
from input_handler.engine.guard import UNREACHABLE, UNRESPONSIVE
from input_handler.engine.pool import EnginePool
from input_handler.errors import EngineFailed, EngineRefused

log = structlog.get_logger("session_router")

NOT_LEASE_HOLDER: Final = "not_owner"
FAILOVER_REASONS: Final = UNREACHABLE | UNRESPONSIVE
"""Failures of an engine that is not there, or hangs: another one has the session, or takes it once its lease has run out."""

MAX_RELOCATED: Final = 10_000


class EnginePath(Protocol):
    """A way to an engine: one, or the right one of several."""

    def events(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> AsyncGenerator[SseFrame, None]:
        """The turn's events; `again`: of one that an engine has begun. Raises EngineFailed, AnsweredElsewhere or EngineRefused before
        the first delta.
        """
        ...

    def circuit_open(self, session_id: str) -> bool:
        """Whether a turn that is asked now would be refused at once."""
        ...


class SessionRouter:
    """Who has a session is learnt from the engines: one that has it not says who has (421 `not_owner`)."""

    def __init__(self, engines: EnginePool) -> None:
        self._engines = engines
        self._relocated: OrderedDict[str, int] = OrderedDict()

    async def events(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> AsyncGenerator[SseFrame, None]:
        """See `MainPath`. An engine that is not there is passed over; what another error it gives is the turn's."""
        session_id = request.session_id
        candidates = self._engines.candidates(session_id)
        waiting = (
            [self._relocated[session_id], *candidates]
            if session_id in self._relocated
            else candidates
        )
        asked: set[int] = set()
        failure = EngineFailed("not_reached")
        while (ordinal := next((one for one in waiting if one not in asked), None)) is not None:
            asked.add(ordinal)
            begun, path = False, await self._engines.get(ordinal)
            if path is None:
                break
            try:
                async with aclosing(
                    path.events(request, last_event_id, traceparent, again=again)
                ) as frames:
                    async for frame in frames:
                        if not begun:
                            begun = True
                            self._note(session_id, ordinal, home=candidates[0])
                        yield frame
                return
            except EngineRefused as error:
                if error.body.code != NOT_LEASE_HOLDER:
                    raise
                owner = error.body.owner
                if owner is None or owner in asked:
                    # It is still the one that did not answer: nobody else may speak for it before its lease has expired.
                    raise failure from error
                reason, waiting = NOT_LEASE_HOLDER, [owner]
            except EngineFailed as error:
                if begun or error.reason not in FAILOVER_REASONS:
                    raise
                reason, failure = error.reason, error
            metrics.ENGINE_FAILOVERS.labels(reason=reason).inc()
            log.info("engine_failover", session=session_id, reason=reason, engine=ordinal)
        raise failure

    def circuit_open(self, session_id: str) -> bool:
        """See `MainPath`."""
        return self._engines.circuit_open(session_id)

    def _note(self, session_id: str, ordinal: int, *, home: int) -> None:
        """Where the session is, if not at home."""
        self._relocated.pop(session_id, None)
        if ordinal != home:
            self._relocated[session_id] = ordinal
            while len(self._relocated) > MAX_RELOCATED:
                self._relocated.popitem(last=False)
