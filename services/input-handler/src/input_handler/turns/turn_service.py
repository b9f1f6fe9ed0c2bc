"""One turn from the outside: flags once, a number, then the path that answers it. One reply, whichever path."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from typing import Final

import structlog

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest, Command, FlagSet, TurnType
from dialog_contracts.model import correlation_id
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_flags.flags import FlagSource
from dialog_telemetry import metrics, span_attributes, trace_context
from input_handler.engine.circuit_breaker import OPEN, TIMED_OUT
from input_handler.engine.session_router import EnginePath
from input_handler.errors import (
    ClaimedByEngine,
    ClaimedByLegacy,
    EngineFailed,
    EngineRefused,
    LegacyUnavailable,
)
from input_handler.legacy.client import LegacyClient
from input_handler.turns.running_turns import RunningTurns
from input_handler.turns.turn_numbers import TurnNumber, TurnNumberAllocator
from service_runtime.http.errors import Conflict, out_of_reach

log = structlog.get_logger("turn")

MAX_NUMBER_ATTEMPTS: Final = 5
REATTACH_ATTEMPTS: Final = 3
REATTACH_PAUSE_S: Final = 0.1
ENGINE_RETRY_PAUSE_S: Final = 0.2
BUSY: Final = frozenset(("overloaded", *TIMED_OUT, OPEN))
"""Failures of an engine that may only have had no time."""

EVENT_ID: Final = re.compile(sse.EVENT_ID)
SYNC_OFF: Final = "sync_core_off"
BEHIND_LEGACY: Final = "behind_legacy"
"""The chain still had an earlier turn of the session, and keeps the order by answering this one, too."""


class TurnService:
    """`call` yields a turn's events. The first `anext` either gives an event or raises; closing it leaves the turn to its path."""

    def __init__(
        self,
        sync: EnginePath,
        legacy: LegacyClient,
        numbers: TurnNumberAllocator,
        flags: FlagSource,
        running: RunningTurns,
        *,
        legacy_first_s: float = 3.0,
        ask_again_s: float = 0.0,
    ) -> None:
        self._sync, self._legacy, self._numbers, self._flags = sync, legacy, numbers, flags
        self._running, self._legacy_first_s, self._engine_retry_s = (
            running,
            legacy_first_s,
            ask_again_s,
        )

    async def stream(
        self,
        request: ChatRequest,
        *,
        last_event_id: str | None = None,
        traceparent: str | None = None,
        whole_file: bool = False,
        client: str | None = None,
    ) -> AsyncGenerator[SseFrame, None]:
        """The events of the turn, ids included; none, where the caller has them all.

        Raises Conflict, EngineRefused, TooManyTurns or LegacyUnavailable before the first event.

        `whole_file`: the caller speaks the older dialect, whose viewers read one audio file and may come late. `client`: whose turn it is,
        as limits count clients.
        """
        check_event_id(last_event_id)
        request = request.model_copy(
            update={"meta": request.meta.model_copy(update={"client": client, "known_turn": None})}
        )
        # Who stops something asks for no place.
        stops = request.type is TurnType.COMMAND and request.content == Command.STOP
        with nullcontext() if stops else self._running.slot(request.session_id, client):
            async with aclosing(
                self._stream(request, last_event_id, traceparent, whole_file)
            ) as frames:
                async for frame in frames:
                    yield frame

    async def _stream(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        whole_file: bool,
    ) -> AsyncGenerator[SseFrame, None]:
        flags = self._flags.resolve(request.session_id)
        if whole_file and self._legacy.enabled:
            flags = flags.model_copy(
                update={"SYNC_TTS_STREAMING": False, "SYNC_TTS_BARGE_IN": False}
            )
        request = request.model_copy(
            update={"meta": request.meta.model_copy(update={"flags": flags})}
        )
        if request.type is TurnType.COMMAND and request.content == Command.STOP:
            async with aclosing(self._stop(request, traceparent)) as frames:
                async for frame in frames:
                    yield frame
            return
        chosen_outside = request.turn is not None or last_event_id is not None
        number = await self._first_number(request, last_event_id)
        for _ in range(MAX_NUMBER_ATTEMPTS):
            meta = request.meta.model_copy(update={"known_turn": number.after})
            numbered = request.model_copy(update={"turn": number.turn, "meta": meta})
            try:
                async with aclosing(
                    self._traced(numbered, flags, number, last_event_id, traceparent)
                ) as frames:
                    async for frame in frames:
                        yield frame
                return
            except EngineRefused as error:
                if (
                    error.body.code != "turn_taken"
                    or error.body.next_turn is None
                    or chosen_outside
                ):
                    raise
                number = await self._numbers.advance_to(
                    request.session_id, request.meta.request_id, error.body.next_turn
                )
        raise LegacyUnavailable(
            f"no free number was found for this turn in {MAX_NUMBER_ATTEMPTS} tries",
            code="no_free_number",
        )

    async def _stop(
        self, request: ChatRequest, traceparent: str | None
    ) -> AsyncGenerator[SseFrame, None]:
        if request.turn is not None and request.meta.turn is None:
            # Whoever names the turn where turns have their number means this one.
            request = request.model_copy(
                update={"meta": request.meta.model_copy(update={"turn": request.turn})}
            )
        try:
            async with aclosing(self._sync.events(request, None, traceparent)) as frames:
                async for frame in frames:
                    yield frame
        except EngineFailed as failure:
            raise LegacyUnavailable(
                f"the engine does not answer ({failure.reason})", code="engine_unavailable"
            ) from failure

    async def _first_number(self, request: ChatRequest, last_event_id: str | None) -> TurnNumber:
        if last_event_id is not None:
            turn = request.turn or sse.split_event_id(last_event_id)[0]
            return await self._numbers.reserve(request.session_id, turn, resumed=True)
        if request.turn is not None:
            return await self._numbers.reserve(request.session_id, request.turn)
        return await self._numbers.allocate(request.session_id, request.meta.request_id)

    async def _traced(
        self,
        request: ChatRequest,
        flags: FlagSet,
        number: TurnNumber,
        last_event_id: str | None,
        traceparent: str | None,
    ) -> AsyncGenerator[SseFrame, None]:
        name = correlation_id(request.session_id, number.turn)
        with trace_context.span(
            "receive message",
            parent=traceparent,
            attributes={
                span_attributes.CORRELATION_ID: name,
                span_attributes.FLAGS_GENERATION: flags.generation,
            },
        ):
            carried, trace_id = trace_context.current(), trace_context.current_trace_id()
        # The span only names the trace: it must not stay current across the yields below, which run in the reader's context.
        line = {span_attributes.LOG_CORRELATION_ID: name, span_attributes.LOG_TRACE_ID: trace_id}
        structlog.contextvars.bind_contextvars(**line)
        outcome, announced = "left", False
        try:
            async with aclosing(
                self._from_either_path(request, flags, number, last_event_id, carried, line)
            ) as frames:
                async for frame in frames:
                    outcome = frame.event
                    yield frame
                    if not announced:
                        # After the first frame went on: nobody should wait for a log line.
                        announced = True
                        generation, chars = flags.generation, len(request.content)
                        log.info(
                            "turn_received",
                            kind=request.type,
                            chars=chars,
                            flags_generation=generation,
                            **line,
                        )
        except (EngineRefused, LegacyUnavailable) as error:
            outcome = error.body.code
            raise
        finally:
            log.info("turn_answered", outcome=outcome, **line)

    async def _from_either_path(
        self,
        request: ChatRequest,
        flags: FlagSet,
        number: TurnNumber,
        last_event_id: str | None,
        traceparent: str | None,
        line: dict[str, str | None],
    ) -> AsyncGenerator[SseFrame, None]:
        """The events of whichever path answers."""
        reason, detail, since = SYNC_OFF, "", None
        announced: int | None = None
        sync = flags.ENABLE_SYNC_CORE and not (
            number.known and await self._legacy.owns_turn(request.session_id, number.turn)
        )
        if sync:
            since = asyncio.get_running_loop().time()
            if await self._is_behind_legacy(request.session_id, number):
                sync, reason = False, BEHIND_LEGACY
        if sync:
            try:
                async with aclosing(
                    self._sync.events(request, last_event_id, traceparent)
                ) as frames:
                    async for frame in frames:
                        announced = _number_of(frame.id)
                        yield frame
                return
            except ClaimedByLegacy:
                reason = "answered_elsewhere"
            except EngineFailed as failure:
                reason, detail = failure.reason, str(failure)
            except EngineRefused as error:
                # The engine does not know a turn that the other path answered; whoever comes back for it gets that answer.
                if error.body.code != "turn_lost" or not await self._legacy.owns_turn(
                    request.session_id, number.turn
                ):
                    raise
                reason = "answered_elsewhere"
        if not number.in_reach:
            raise out_of_reach(number.turn, number.after or 0)
        legacy = self._legacy.events(
            request,
            reason,
            detail=detail,
            after=_number_of(last_event_id),
            accepted=announced,
            traceparent=traceparent,
            since=since,
        )
        try:
            async with aclosing(legacy) as frames:
                async for frame in frames:
                    yield frame
        except ClaimedByEngine:
            async with aclosing(
                self._reattach(request, reason, last_event_id, announced, traceparent)
            ) as frames:
                async for frame in frames:
                    yield frame
        except LegacyUnavailable as error:
            if announced is None:
                async with aclosing(
                    self._ask_engine_again(request, reason, error, last_event_id, traceparent)
                ) as frames:
                    async for frame in frames:
                        yield frame
                return
            # The stream has begun already: its end is an event.
            event = ErrorEvent(code=error.body.code, message=error.body.message, retryable=True)
            yield sse.frame(event, f"{number.turn}.{announced + 1}")

    async def _ask_engine_again(
        self,
        request: ChatRequest,
        reason: str,
        unavailable: LegacyUnavailable,
        last_event_id: str | None,
        traceparent: str | None,
    ) -> AsyncGenerator[SseFrame, None]:
        """Neither path took the turn. An engine that was only too busy for a short deadline is asked again, with a longer one, before a
        person is told to. Raises `unavailable`.
        """
        clock = asyncio.get_running_loop().time
        until, pause = clock() + self._engine_retry_s, ENGINE_RETRY_PAUSE_S
        announced: int | None = None
        while reason in BUSY and clock() + pause < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
            try:
                async with aclosing(
                    self._sync.events(request, last_event_id, traceparent, again=True)
                ) as frames:
                    async for frame in frames:
                        announced = _number_of(frame.id)
                        yield frame
                metrics.ENGINE_RETRIES.labels(outcome="answered").inc()
                return
            except ClaimedByLegacy:
                break
            except EngineFailed as failure:
                reason = failure.reason
                log.info("engine_retried", reason=str(failure))
                if announced is not None:
                    event = ErrorEvent(
                        code=unavailable.body.code, message=unavailable.body.message, retryable=True
                    )
                    yield sse.frame(event, f"{request.turn}.{announced + 1}")
                    return
        if self._engine_retry_s and reason in BUSY:
            metrics.ENGINE_RETRIES.labels(outcome="in_vain").inc()
        raise unavailable

    async def _is_behind_legacy(self, session_id: str, number: TurnNumber) -> bool:
        """Whether the chain has a turn before this one and does not come to its end. Nobody waits where this one goes there anyway."""
        if (
            not number.legacy_pending
            or not self._legacy.enabled
            or self._sync.circuit_open(session_id)
        ):
            return False
        return await self._numbers.legacy_is_busy(session_id, self._legacy_first_s)

    async def _reattach(
        self,
        request: ChatRequest,
        reason: str,
        last_event_id: str | None,
        announced: int | None,
        traceparent: str | None,
    ) -> AsyncGenerator[SseFrame, None]:
        """A turn that was given up a moment too early: the engine had begun to answer, so its answer is the one. If it is still there."""
        after = last_event_id if announced is None else f"{request.turn}.{announced}"
        for number in range(REATTACH_ATTEMPTS):
            if number:
                await asyncio.sleep(REATTACH_PAUSE_S)
            try:
                async with aclosing(
                    self._sync.events(request, after, traceparent, again=True)
                ) as frames:
                    async for frame in frames:
                        after = frame.id
                        yield frame
                metrics.ENGINE_REATTACHED.labels(outcome="answered").inc()
                return
            except (EngineFailed, EngineRefused, ClaimedByLegacy) as error:
                why = str(error)
                if isinstance(error, EngineFailed) and error.frame is not None:
                    yield error.frame
                    return
        metrics.ENGINE_REATTACHED.labels(outcome="lost").inc()
        log.warning("engine_lost", reason=reason, again=why)
        lost = ErrorEvent(
            code="engine_lost", message="the engine took this turn and broke off", retryable=True
        )
        yield sse.frame(lost, f"{request.turn}.{_number_of(after) + 1}")


def check_event_id(last_event_id: str | None) -> None:
    """Raises Conflict for what cannot be the id of an event: nobody was ever sent it."""
    if last_event_id is not None and EVENT_ID.fullmatch(last_event_id) is None:
        why = f"Last-Event-ID: no event has the id {last_event_id[:40]!r}; ids are <turn>.<n>"
        raise Conflict(why, code="unknown_event", field="Last-Event-ID")


def _number_of(event_id: str | None) -> int:
    """The place of an event in its turn; -1 before the first."""
    return sse.split_event_id(event_id)[1] if event_id is not None else -1
