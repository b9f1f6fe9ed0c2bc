"""The main path over one engine: a turn is asked of it. What fails before its first delta is raised, for the other path to take over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, nullcontext
from typing import Final

import structlog

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_telemetry import metrics
from input_handler.engine import circuit_breaker
from input_handler.engine.circuit_breaker import CircuitBreaker
from input_handler.engine.client import EngineClient
from input_handler.errors import ClaimedByLegacy, EngineFailed

log = structlog.get_logger("turn")

UNREACHABLE: Final = circuit_breaker.UNREACHABLE
UNRESPONSIVE: Final = frozenset(("not_accepted_in_time", circuit_breaker.OPEN))
"""Failures of one that hangs, or did so often."""

RETRY_WINDOW_S: Final = 2.0


class EngineGuard:
    """`events` yields a turn's events. After the first delta nothing is raised any more: what breaks then is an error event."""

    def __init__(
        self,
        engine: EngineClient,
        *,
        name: str = "0",
        accept_timeout_s: float,
        first_token_timeout_s: float,
        waited_for: bool = False,
        circuit_failures: int = 3,
        circuit_open_s: float = 2.0,
    ) -> None:
        self._engine = engine
        self._accept_timeout_s, self._first_token_timeout_s = (
            accept_timeout_s,
            first_token_timeout_s,
        )
        self._circuit = CircuitBreaker(
            name, failures=circuit_failures, open_s=circuit_open_s, waited_for=waited_for
        )
        self.name = name

    @property
    def circuit_state(self) -> str:
        """`closed`, `half-opened` or `opened`."""
        return self._circuit.state

    async def events(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> AsyncGenerator[SseFrame, None]:
        """Raises EngineFailed, AnsweredElsewhere or EngineRefused before the first delta.

        `again`: for a turn that an engine has begun. Nobody else may answer it, so the circuit is not asked and there is more time.
        Nothing at all after `last_event_id` is the whole answer to a caller that has all of it.
        """
        accept_timeout_s = RETRY_WINDOW_S if again else self._accept_timeout_s
        reported: SseFrame | None = None
        # The number of the last event that this caller has: after ACCEPTED comes the first delta.
        after = -1 if last_event_id is None else sse.split_event_id(last_event_id)[1]
        answered = after > 0
        try:
            async with AsyncExitStack() as call:
                async with nullcontext() if again else self._circuit.admit():
                    began = asyncio.get_running_loop().time()
                    engine = self._engine.stream(
                        request, last_event_id, traceparent, accept_timeout_s=accept_timeout_s
                    )
                    frames = self._in_time(
                        await call.enter_async_context(engine), began, accept_timeout_s, after
                    )
                    async for frame in frames:
                        if frame.event == "error" and not answered:
                            _raise(frame)
                        reported, answered = (
                            frame,
                            answered or frame.event in ("text-delta", "done"),
                        )
                        yield frame
                        if answered:
                            break
                    else:
                        if reported is None and last_event_id is not None:
                            return
                        raise EngineFailed("cut", "the stream ended before the first delta")
                async for frame in frames:
                    reported = frame
                    yield frame
            if reported is None or reported.event not in ("done", "error"):
                raise EngineFailed("cut", "the stream ended without done")
        except EngineFailed as failure:
            if not answered or reported is None:
                raise
            metrics.FALLBACKS.labels(reason="none_after_first_delta").inc()
            log.warning("engine_lost", reason=str(failure))
            event = ErrorEvent(
                code="engine_lost",
                message="the engine broke off in the middle of the answer",
                retryable=True,
            )
            turn, number = (
                sse.split_event_id(reported.id)
                if reported.id is not None
                else (request.turn or 0, 0)
            )
            yield sse.frame(event, f"{turn}.{number + 1}")

    def circuit_open(self, _: str) -> bool:
        """Whether the circuit is open, and no turn is due to look."""
        return self._circuit.is_open

    async def _in_time(
        self,
        frames: AsyncGenerator[SseFrame, None],
        began: float,
        accept_timeout_s: float,
        after: int,
    ) -> AsyncGenerator[SseFrame, None]:
        """The events, as long as ACCEPTED and the first delta come in time, counted from the call, or from the model's last thought.

        Whoever has them already waits for neither.
        """
        reason = "not_accepted_in_time" if after < 0 else "no_delta_in_time"
        limit: float | None = (
            accept_timeout_s if after < 0 else self._first_token_timeout_s if after == 0 else None
        )
        while True:
            try:
                async with asyncio.timeout_at(None if limit is None else began + limit):
                    frame = await anext(frames, None)
            except TimeoutError as error:
                metrics.DEADLINES_MISSED.labels(
                    deadline="accepted" if reason.startswith("not_accepted") else "first_delta"
                ).inc()
                raise EngineFailed(reason) from error
            if frame is None:
                return
            if frame.event == sse.COMMENT:
                if frame == sse.THINKING and limit is not None and reason == "no_delta_in_time":
                    limit = asyncio.get_running_loop().time() - began + self._first_token_timeout_s
                continue
            if frame.event == "control" and reason == "not_accepted_in_time":
                limit, reason = self._first_token_timeout_s, "no_delta_in_time"
            elif frame.event != "control":
                limit = None
            yield frame


def _raise(frame: SseFrame) -> None:
    error = frame.parse()
    assert isinstance(error, ErrorEvent)
    if error.code == "answered_elsewhere":
        raise ClaimedByLegacy
    raise EngineFailed(f"engine_{error.code}", error.message, frame=frame)
