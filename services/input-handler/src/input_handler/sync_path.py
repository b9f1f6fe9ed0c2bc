"""The main path over one engine: a turn is asked of it. What fails before its first delta is raised, for the other path to take over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Final

import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_telemetry import metrics
from input_handler.engine_client import EngineClient
from input_handler.errors import AnsweredElsewhere, EngineFailed, EngineRefused

log = structlog.get_logger("turn")

AWAY: Final = frozenset(("not_reached", "draining"))
"""Failures of an engine that ends or starts. They cost no time."""

HANGS: Final = frozenset(("not_accepted_in_time", "circuit_open"))
"""Failures of one that hangs, or did so often."""

AGAIN_WITHIN_S: Final = 2.0
CIRCUIT: Final = "engine"
CIRCUIT_STATES: Final = {"closed": 0, "half-opened": 1, "opened": 2}


class SyncPath:
    """`events` yields a turn's events. After the first delta nothing is raised any more: what breaks then is an error event.

    A circuit breaker (purgatory: asyncio, typed, no dependencies) spares the wait for an engine that failed `circuit_failures` times in
    a row: turns go to the other path at once, and every `circuit_open_s` one is let through to look. Where an engine that is away is
    `waited_for`, its being away is none of these failures: the turns that wait have nowhere else to go.
    """

    def __init__(
        self,
        engine: EngineClient,
        *,
        name: str = "0",
        accepted_within_s: float,
        first_delta_within_s: float,
        waited_for: bool = False,
        circuit_failures: int = 3,
        circuit_open_s: float = 2.0,
    ) -> None:
        self._engine = engine
        self._accepted_within_s, self._first_delta_within_s = accepted_within_s, first_delta_within_s
        self._circuit = AsyncCircuitBreakerFactory(
            default_threshold=circuit_failures,
            default_ttl=circuit_open_s,
            # A caller that leaves, a refusal, and a model that fails say nothing against the engine.
            exclude=[
                *(GeneratorExit, asyncio.CancelledError, EngineRefused, AnsweredElsewhere, (EngineFailed, _is_models_fault)),
                *([(EngineFailed, _is_away)] if waited_for else ()),
            ],
        )
        self.name = name
        self.circuit_state = "closed"
        self._open_s, self._rests_until, self._looking = circuit_open_s, 0.0, False
        self._circuit.add_listener(self._note_state)

    async def events(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None, *, again: bool = False
    ) -> AsyncGenerator[SseFrame, None]:
        """Raises EngineFailed, AnsweredElsewhere or EngineRefused before the first delta.

        `again`: for a turn that an engine has begun. Nobody else may answer it, so the circuit is not asked and there is more time.
        """
        accepted_within_s = AGAIN_WITHIN_S if again else self._accepted_within_s
        told: SseFrame | None = None
        answered = False
        try:
            async with AsyncExitStack() as call:
                async with nullcontext() if again else self._let_through():
                    began = asyncio.get_running_loop().time()
                    engine = self._engine.stream(request, last_event_id, traceparent, accepted_within_s=accepted_within_s)
                    frames = self._in_time(await call.enter_async_context(engine), began, accepted_within_s)
                    async for frame in frames:
                        if frame.event == "error":
                            _raise(frame)
                        told, answered = frame, frame.event in ("text-delta", "done")
                        yield frame
                        if answered:
                            break
                    else:
                        raise EngineFailed("cut", "the stream ended before the first delta")
                async for frame in frames:
                    told = frame
                    yield frame
            if told is None or told.event not in ("done", "error"):
                raise EngineFailed("cut", "the stream ended without done")
        except OpenedState as error:
            raise EngineFailed("circuit_open") from error
        except EngineFailed as failure:
            if not answered or told is None:
                raise
            metrics.FALLBACKS.labels(reason="none_after_first_delta").inc()
            log.warning("engine_lost", reason=str(failure))
            event = ErrorEvent(code="engine_lost", message="the engine broke off in the middle of the answer", retryable=True)
            turn, number = sse.split_event_id(told.id) if told.id is not None else (request.turn or 0, 0)
            yield sse.frame(event, f"{turn}.{number + 1}")

    def resting(self, _: str) -> bool:
        """Whether the circuit is open, and no turn is due to look."""
        return self.circuit_state == "opened" and asyncio.get_running_loop().time() < self._rests_until

    @asynccontextmanager
    async def _let_through(self) -> AsyncGenerator[None, None]:
        """Past the circuit breaker. While it is half open it lets everybody through; here, one turn looks and the others go elsewhere."""
        breaker = await self._circuit.get_breaker(CIRCUIT)
        if self._looking:
            raise EngineFailed("circuit_open")
        async with breaker:
            looks = self._looking = breaker.context.state == "half-opened"
            try:
                yield
            finally:
                if looks:
                    self._looking = False

    async def _in_time(
        self, frames: AsyncGenerator[SseFrame, None], began: float, accepted_within_s: float
    ) -> AsyncGenerator[SseFrame, None]:
        """The events, as long as ACCEPTED and the first delta come in time, counted from the call, or from the model's last thought."""
        reason = "not_accepted_in_time"
        limit: float | None = accepted_within_s
        while True:
            try:
                async with asyncio.timeout_at(None if limit is None else began + limit):
                    frame = await anext(frames, None)
            except TimeoutError as error:
                raise EngineFailed(reason) from error
            if frame is None:
                return
            if frame.event == sse.COMMENT:
                if frame == sse.THINKING and limit is not None and reason == "no_delta_in_time":
                    limit = asyncio.get_running_loop().time() - began + self._first_delta_within_s
                continue
            if frame.event == "control" and reason == "not_accepted_in_time":
                limit, reason = self._first_delta_within_s, "no_delta_in_time"
            elif frame.event != "control":
                limit = None
            yield frame

    def _note_state(self, _: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            self.circuit_state = payload.state
            self._rests_until = asyncio.get_running_loop().time() + self._open_s
            metrics.CIRCUIT.labels(engine=self.name).set(CIRCUIT_STATES[payload.state])
            log.warning("circuit", engine=self.name, state=payload.state)


def _is_away(failure: EngineFailed) -> bool:
    return failure.reason in AWAY


def _is_models_fault(failure: EngineFailed) -> bool:
    return failure.reason.startswith("engine_")


def _raise(frame: SseFrame) -> None:
    error = frame.parse()
    assert isinstance(error, ErrorEvent)
    if error.code == "answered_elsewhere":
        raise AnsweredElsewhere
    raise EngineFailed(f"engine_{error.code}", error.message)
