"""One turn from the outside: flags once, a number, the engine, and the fallback when it fails before its first delta."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Final

import structlog

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest, Command, FlagSet, TurnType
from dialog_contracts.model import correlation_id
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_flags.flags import FlagSource
from dialog_telemetry import attributes, metrics, trace_context
from input_handler.engine_client import EngineClient
from input_handler.errors import EngineFailed, EngineRefused, LegacyUnavailable
from input_handler.turn_numbers import TurnNumbers

log = structlog.get_logger("turn")

NUMBERS_TRIED: Final = 5
ENGINE_LOOK_EVERY_S: Final = 0.2


class TurnCaller:
    """`call` yields a turn's events. The first `anext` either gives an event or raises; closing it leaves the engine."""

    def __init__(
        self,
        engine: EngineClient,
        numbers: TurnNumbers,
        flags: FlagSource,
        *,
        accepted_within_s: float,
        first_delta_within_s: float,
        engine_wait_s: float = 0,
    ) -> None:
        self._engine, self._numbers, self._flags = engine, numbers, flags
        self._engine_wait_s = engine_wait_s
        self._accepted_within_s, self._first_delta_within_s = accepted_within_s, first_delta_within_s

    async def call(
        self, request: ChatRequest, *, last_event_id: str | None = None, traceparent: str | None = None
    ) -> AsyncGenerator[SseFrame, None]:
        """The events of the turn, ids included. Raises EngineRefused or LegacyUnavailable before the first event."""
        flags = self._flags.resolve(request.session_id)
        request = request.model_copy(update={"meta": request.meta.model_copy(update={"flags": flags})})
        if request.type is TurnType.COMMAND and request.content == Command.STOP:
            async with aclosing(self._attempt(request, None, traceparent)) as frames:
                async for frame in frames:
                    yield frame
            return
        chosen_outside = request.turn is not None or last_event_id is not None
        turn = await self._first_number(request, last_event_id)
        for _ in range(NUMBERS_TRIED):
            numbered = request.model_copy(update={"turn": turn})
            try:
                async with aclosing(self._traced(numbered, flags, last_event_id, traceparent)) as frames:
                    async for frame in frames:
                        yield frame
                return
            except EngineRefused as error:
                if error.body.code != "turn_taken" or error.body.next_turn is None or chosen_outside:
                    raise
                turn = await self._numbers.skip_to(request.session_id, request.meta.request_id, error.body.next_turn)
        raise self._no_fallback(EngineFailed("no_free_number"))

    async def _first_number(self, request: ChatRequest, last_event_id: str | None) -> int:
        if request.turn is not None:
            return request.turn
        if last_event_id is not None:
            try:
                return max(1, sse.split_event_id(last_event_id)[0])
            except ValueError:
                pass  # The engine refuses it with the field's name.
        return await self._numbers.take(request.session_id, request.meta.request_id)

    async def _traced(
        self, request: ChatRequest, flags: FlagSet, last_event_id: str | None, traceparent: str | None
    ) -> AsyncGenerator[SseFrame, None]:
        assert request.turn is not None
        name = correlation_id(request.session_id, request.turn)
        with trace_context.span(
            "receive message",
            parent=traceparent,
            attributes={attributes.CORRELATION_ID: name, attributes.FLAGS_GENERATION: flags.generation},
        ):
            carried, trace_id = trace_context.current(), trace_context.current_trace_id()
        # The span only names the trace: it must not stay current across the yields below, which run in the reader's context.
        line = {attributes.LOG_CORRELATION_ID: name, attributes.LOG_TRACE_ID: trace_id}
        if not flags.ENABLE_SYNC_CORE:
            raise self._no_fallback(EngineFailed("sync_core_off"), **line)
        outcome = "left"
        told = False
        try:
            async with aclosing(self._attempt(request, last_event_id, carried)) as frames:
                async for frame in frames:
                    outcome = frame.event
                    yield frame
                    if not told:
                        # After the first frame went on: nobody should wait for a log line.
                        told = True
                        generation, chars = flags.generation, len(request.content)
                        log.info("turn_received", kind=request.type, chars=chars, flags_generation=generation, **line)
        except EngineRefused as error:
            outcome = error.body.code
            raise
        finally:
            log.info("turn_answered", outcome=outcome, **line)

    async def _attempt(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None
    ) -> AsyncGenerator[SseFrame, None]:
        told, answered = None, False
        try:
            async with self._engine_there(request, last_event_id, traceparent) as (frames, began):
                async for frame in self._in_time(frames, began):
                    if frame.event == "error" and not answered:
                        error = frame.parse()
                        assert isinstance(error, ErrorEvent)
                        if error.code != "answered_elsewhere":
                            raise EngineFailed(f"engine_{error.code}", error.message)
                    told, answered = frame, answered or frame.event in ("text-delta", "done", "error")
                    yield frame
            if told is None or told.event not in ("done", "error"):
                raise EngineFailed("cut", "the stream ended without done")
        except EngineFailed as failure:
            if told is None:
                raise self._no_fallback(failure) from failure
            if answered:
                event = ErrorEvent(
                    code="engine_lost", message="the engine broke off in the middle of the answer", retryable=True
                )
                metrics.FALLBACKS.labels(reason="none_after_first_delta").inc()
            else:
                body = self._no_fallback(failure).body
                event = ErrorEvent(code=body.code, message=body.message, retryable=True)
            turn, number = sse.split_event_id(told.id) if told.id is not None else (request.turn or 0, 0)
            yield sse.frame(event, f"{turn}.{number + 1}")

    @asynccontextmanager
    async def _engine_there(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None
    ) -> AsyncGenerator[tuple[AsyncGenerator[SseFrame, None], float], None]:
        """The engine's events and when it was called. An engine that is just being replaced is waited for, if the settings say so."""
        clock = asyncio.get_running_loop().time
        until, waited = clock() + self._engine_wait_s, False
        async with AsyncExitStack() as stack:
            while True:
                began = clock()
                call = self._engine.stream(request, last_event_id, traceparent, accepted_within_s=self._accepted_within_s)
                try:
                    frames = await stack.enter_async_context(call)
                except EngineFailed as failure:
                    if failure.reason != "not_reached" or began + ENGINE_LOOK_EVERY_S > until:
                        if waited:
                            metrics.ENGINE_WAITS.labels(outcome="in_vain").inc()
                        raise
                    if not waited:
                        waited = True
                        log.info("waiting_for_engine", reason=str(failure), seconds=self._engine_wait_s)
                    await asyncio.sleep(ENGINE_LOOK_EVERY_S)
                    continue
                if waited:
                    metrics.ENGINE_WAITS.labels(outcome="came").inc()
                yield frames, began
                return

    async def _in_time(self, frames: AsyncGenerator[SseFrame, None], began: float) -> AsyncGenerator[SseFrame, None]:
        """The frames, as long as ACCEPTED and the first delta come in time, counted from the call."""
        reason = "not_accepted_in_time"
        limit: float | None = self._accepted_within_s
        while True:
            try:
                async with asyncio.timeout_at(None if limit is None else began + limit):
                    frame = await anext(frames, None)
            except TimeoutError as error:
                raise EngineFailed(reason) from error
            if frame is None:
                return
            if frame.event == "control" and reason == "not_accepted_in_time":
                limit, reason = self._first_delta_within_s, "no_delta_in_time"
            elif frame.event != "control":
                limit = None
            yield frame

    def _no_fallback(self, failure: EngineFailed, **line: str | None) -> LegacyUnavailable:
        """The legacy chain is not part of this version: say so, count why it was needed, and leave no unread queue behind."""
        metrics.FALLBACKS.labels(reason=failure.reason.split(":")[0]).inc()
        log.warning("legacy_unavailable", reason=str(failure), **line)
        return LegacyUnavailable(f"the engine does not answer ({failure}), and there is no legacy chain yet", retry_after_s=1)
