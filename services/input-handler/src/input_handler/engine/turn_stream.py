"""One turn's events, as an engine sends them.

A turn's stream has two halves. Until the first delta, what fails is raised: another engine, or the
legacy pipeline, may still answer the turn. After the first delta the caller has heard a part of the
answer, so no other path may answer; a connection that breaks then becomes one last event,
`engine_lost`, and nothing is raised.

Deadlines hold for the first half alone (`deadlines.py`).

The engine's circuit learns the outcome of the first half (`Admission`): which engine is slow or
gone is known by then, and a long answer does not hold the place of a probe.
"""

import asyncio
from types import TracebackType
from typing import Protocol, Self

import structlog

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_telemetry import metrics
from input_handler.engine.circuit_breaker import Admission
from input_handler.engine.deadlines import LABELS, TurnDeadlines
from input_handler.errors import ClaimedByLegacy, EngineFailed

log = structlog.get_logger("turn")


class EngineEvents(Protocol):
    """The events of an engine's response."""

    async def next(self) -> SseFrame | None:
        """Return the next event or comment; None at the end. Raises EngineFailed."""
        ...

    def close(self) -> None:
        """Close the call."""
        ...


class TurnStream:
    """An asynchronous iterator over one turn's events. Its end closes the call; a caller that leaves
    earlier closes it.
    """

    def __init__(
        self,
        events: EngineEvents,
        admission: Admission | None,
        *,
        turn: int,
        last_event_id: str | None,
        called_at: float,
        accept_timeout_s: float,
        first_token_timeout_s: float,
    ) -> None:
        self._events, self._admission, self._turn = events, admission, turn
        self._resumed = last_event_id is not None
        after = -1 if last_event_id is None else sse.split_event_id(last_event_id)[1]
        self._answered = after > 0
        self._deadlines = TurnDeadlines(
            called_at,
            after,
            accept_timeout_s=accept_timeout_s,
            first_token_timeout_s=first_token_timeout_s,
        )
        self._first: SseFrame | None = None
        self._last: SseFrame | None = None
        self._ended = False

    async def start(self) -> Self:
        """Wait for the first event, which is the first that the iteration returns.

        Raises EngineFailed or ClaimedByLegacy. A caller that has every event already gets an empty
        stream.
        """
        try:
            self._first = await self._read()
        except BaseException:
            self.close()
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SseFrame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        if self._ended:
            raise StopAsyncIteration
        try:
            found = await self._read()
        except EngineFailed as failure:
            self.close()
            if not self._answered:
                raise
            return self._engine_lost(failure)
        except ClaimedByLegacy:
            self.close()
            raise
        if found is None:
            self.close()
            raise StopAsyncIteration
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the call. An outcome that is still open says nothing about the engine."""
        self._ended = True
        self._events.close()
        if self._admission is not None:
            self._admission.release()

    async def _read(self) -> SseFrame | None:
        """Return the next event, and None at the end of the answer."""
        try:
            frame = await self._next_event()
            if frame is None:
                await self._end()
                return None
            if frame.event == "error" and not self._answered:
                raise _typed(frame)
        except (EngineFailed, ClaimedByLegacy) as error:
            await self._settle(error)
            raise
        self._last = frame
        self._answered = self._answered or frame.event in ("text-delta", "done")
        if self._answered:
            await self._settle(None)
        return frame

    async def _next_event(self) -> SseFrame | None:
        while True:
            frame = await self._next_in_time()
            if frame is None or frame.event != sse.COMMENT:
                break
            if frame == sse.THINKING:
                self._deadlines.thinking(asyncio.get_running_loop().time())
        if frame is not None and frame.event == "control":
            self._deadlines.accepted()
        elif frame is not None:
            self._deadlines.answered()
        return frame

    async def _next_in_time(self) -> SseFrame | None:
        reason = self._deadlines.reason
        if reason is None:
            return await self._events.next()
        try:
            async with asyncio.timeout_at(self._deadlines.due_at):
                return await self._events.next()
        except TimeoutError as error:
            metrics.DEADLINES_MISSED.labels(deadline=LABELS[reason]).inc()
            raise EngineFailed(reason) from error

    async def _end(self) -> None:
        self._ended = True
        if self._last is None and self._resumed:
            await self._settle(None)
        elif not self._answered:
            raise EngineFailed("cut", "the stream ended before the first delta")
        elif self._last is None or self._last.event not in ("done", "error"):
            raise EngineFailed("cut", "the stream ended without done")

    async def _settle(self, error: EngineFailed | ClaimedByLegacy | None) -> None:
        if self._admission is not None:
            await self._admission.settle(error)

    def _engine_lost(self, failure: EngineFailed) -> SseFrame:
        metrics.FALLBACKS.labels(reason="none_after_first_delta").inc()
        log.warning("engine_lost", reason=str(failure))
        event = ErrorEvent(
            code="engine_lost",
            message="the engine broke off in the middle of the answer",
            retryable=True,
        )
        turn, number = self._turn, 0
        if self._last is not None and self._last.id is not None:
            turn, number = sse.split_event_id(self._last.id)
        return sse.frame(event, f"{turn}.{number + 1}")


class EnginePath(Protocol):
    """A way to an engine: to one, or to the right one of several."""

    async def open(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> TurnStream:
        """Return the turn's events once the first one is there.

        `again`: the turn was begun by an engine, so the circuit is not asked and there is more
        time. Raises EngineFailed, ClaimedByLegacy or EngineRefused; the stream raises the first two
        until its first delta.
        """
        ...

    def circuit_open(self, session_id: str) -> bool:
        """Return whether a turn of this session would be refused at once."""
        ...


def _typed(frame: SseFrame) -> EngineFailed | ClaimedByLegacy:
    error = frame.parse()
    assert isinstance(error, ErrorEvent)
    if error.code == "answered_elsewhere":
        return ClaimedByLegacy()
    return EngineFailed(f"engine_{error.code}", error.message, frame=frame)
