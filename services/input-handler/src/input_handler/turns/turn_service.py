"""One turn, from a message to its events: flags, a number, and the path that answers it.

`stream` resolves the flags once, gives the turn its number, and yields the events of exactly one
path. `_answer` holds the whole decision between the two paths:

1. The legacy pipeline answers at once where the flag is off, where it has this turn already, or
   where it still has earlier turns of the session and keeps their order.
2. Otherwise the engine answers. Whatever fails before its first delta is raised by its stream.
3. A failure gives the turn to the legacy pipeline. The claim on the reply (`reply:{id}` in Redis)
   makes sure that one path answers: a pipeline that finds the claim taken sends the turn back to
   the engine, whose answer has begun.
4. Where the pipeline cannot take the turn either, a busy engine is called once more, with more
   time, before the caller gets an error.

After the first delta there is no fallback; the stream itself ends with an `error` event.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest, Command, FlagSet, TurnType
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_flags.flags import FlagSource
from dialog_telemetry import metrics
from input_handler.engine.circuit_breaker import OPEN, TIMED_OUT
from input_handler.engine.turn_stream import EnginePath
from input_handler.errors import (
    ClaimedByEngine,
    ClaimedByLegacy,
    EngineFailed,
    EngineRefused,
    LegacyUnavailable,
)
from input_handler.legacy.client import LegacyClient
from input_handler.turns.begun_turn import BegunTurn
from input_handler.turns.running_turns import RunningTurns
from input_handler.turns.turn_log import TurnLog
from input_handler.turns.turn_numbers import TurnNumber, TurnNumberAllocator
from service_runtime.http.errors import Conflict, out_of_reach

log = structlog.get_logger("turn")

MAX_NUMBER_ATTEMPTS: Final = 5
REATTACH_ATTEMPTS: Final = 3
REATTACH_PAUSE_S: Final = 0.1
ENGINE_RETRY_PAUSE_S: Final = 0.2
BUSY: Final = frozenset(("overloaded", *TIMED_OUT, OPEN))
"""Reasons of an engine that may only have had no time."""

EVENT_ID: Final = re.compile(sse.EVENT_ID)
SYNC_OFF: Final = "sync_core_off"
BEHIND_LEGACY: Final = "behind_legacy"
ANSWERED_ELSEWHERE: Final = "answered_elsewhere"


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn with its number, as a path is asked for it."""

    request: ChatRequest
    flags: FlagSet
    number: TurnNumber
    last_event_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class _Fallback:
    """Why the legacy pipeline answers: a label of metrics, and a detail for the log."""

    reason: str
    detail: str = ""


class TurnService:
    """Answers turns. `legacy_first_s`: longest wait for earlier turns in the legacy pipeline.

    `engine_retry_s`: how long a busy engine is called again where no path has taken the turn.
    """

    def __init__(
        self,
        engines: EnginePath,
        legacy: LegacyClient,
        numbers: TurnNumberAllocator,
        flags: FlagSource,
        running: RunningTurns,
        *,
        legacy_first_s: float = 3.0,
        engine_retry_s: float = 0.0,
    ) -> None:
        self._engines, self._legacy, self._numbers, self._flags = engines, legacy, numbers, flags
        self._running, self._legacy_first_s = running, legacy_first_s
        self._engine_retry_s = engine_retry_s

    async def begin(
        self,
        request: ChatRequest,
        *,
        last_event_id: str | None = None,
        traceparent: str | None = None,
        whole_file: bool = False,
        client: str | None = None,
    ) -> BegunTurn:
        """Return the turn once its first event is there; arguments and errors as in `stream`."""
        return await BegunTurn.of(
            self.stream(
                request,
                last_event_id=last_event_id,
                traceparent=traceparent,
                whole_file=whole_file,
                client=client,
            )
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
        """Yield the turn's events after `last_event_id`; closing it leaves the turn to its path.

        `whole_file`: the caller speaks the legacy dialect, whose viewers read one audio file.
        `client`: the address that limits count. Raises Conflict, EngineRefused, TooManyTurns or
        LegacyUnavailable before the first event.
        """
        check_event_id(last_event_id)
        request, flags = self._with_flags(request, client, whole_file=whole_file)
        if request.type is TurnType.COMMAND and request.content == Command.STOP:
            # A STOP takes no number, and no place among the running turns.
            async with aclosing(self._stop(request, traceparent)) as frames:
                async for frame in frames:
                    yield frame
            return
        with self._running.slot(request.session_id, client):
            number = await self._first_number(request, last_event_id)
            for _ in range(MAX_NUMBER_ATTEMPTS):
                turn_log = TurnLog(request, flags, number.turn, traceparent)
                turn = _Turn(
                    _numbered(request, number), flags, number, last_event_id, turn_log.traceparent
                )
                try:
                    with turn_log.open():
                        async with aclosing(self._answer(turn)) as frames:
                            async for frame in frames:
                                turn_log.note(frame.event)
                                yield frame
                                turn_log.log_received()
                    return
                except EngineRefused as error:
                    chosen_outside = request.turn is not None or last_event_id is not None
                    next_turn = error.body.next_turn
                    if error.body.code != "turn_taken" or next_turn is None or chosen_outside:
                        raise
                number = await self._numbers.advance_to(
                    request.session_id, request.meta.request_id, next_turn
                )
        raise LegacyUnavailable(
            f"no free number was found for this turn in {MAX_NUMBER_ATTEMPTS} tries",
            code="no_free_number",
        )

    async def _answer(self, turn: _Turn) -> AsyncGenerator[SseFrame, None]:
        """Yield the events of the path that answers."""
        request, number = turn.request, turn.number
        called_at: float | None = None
        accepted: int | None = None
        fallback = await self._legacy_at_once(turn)
        if fallback is None:
            called_at = asyncio.get_running_loop().time()
            try:
                async with await self._engines.open(
                    request, turn.last_event_id, turn.traceparent
                ) as events:
                    async for frame in events:
                        accepted = _number_of(frame.id)
                        yield frame
                return
            except ClaimedByLegacy:
                fallback = _Fallback(ANSWERED_ELSEWHERE)
            except EngineFailed as failure:
                fallback = _Fallback(failure.reason, str(failure))
            except EngineRefused as error:
                # The engine does not know a turn that the legacy pipeline has answered.
                if error.body.code != "turn_lost" or not await self._legacy_has(turn):
                    raise
                fallback = _Fallback(ANSWERED_ELSEWHERE)
        if not number.in_reach:
            raise out_of_reach(number.turn, number.after or 0)
        try:
            async with await self._legacy.open(
                request,
                fallback.reason,
                detail=fallback.detail,
                after=_number_of(turn.last_event_id),
                accepted=accepted,
                traceparent=turn.traceparent,
                since=called_at,
            ) as events:
                async for frame in events:
                    yield frame
            return
        except ClaimedByEngine:
            last_resort = self._reattach(turn, fallback.reason, accepted)
        except LegacyUnavailable as unavailable:
            if accepted is not None:
                # The caller has seen an event already, so the error is an event.
                yield _error(unavailable, number.turn, accepted + 1)
                return
            last_resort = self._retry_engine(turn, fallback.reason, unavailable)
        async with aclosing(last_resort) as frames:
            async for frame in frames:
                yield frame

    async def _stop(
        self, request: ChatRequest, traceparent: str | None
    ) -> AsyncGenerator[SseFrame, None]:
        if request.turn is not None and request.meta.turn is None:
            # A caller that names the turn at the outer place means the turn to stop.
            request = request.model_copy(
                update={"meta": request.meta.model_copy(update={"turn": request.turn})}
            )
        try:
            async with await self._engines.open(request, None, traceparent) as events:
                async for frame in events:
                    yield frame
        except EngineFailed as failure:
            raise LegacyUnavailable(
                f"the engine does not answer ({failure.reason})", code="engine_unavailable"
            ) from failure

    async def _retry_engine(
        self, turn: _Turn, reason: str, unavailable: LegacyUnavailable
    ) -> AsyncGenerator[SseFrame, None]:
        """Call an engine again that was only too busy. Raises `unavailable` where it stays so."""
        clock = asyncio.get_running_loop().time
        until, pause = clock() + self._engine_retry_s, ENGINE_RETRY_PAUSE_S
        accepted: int | None = None
        while reason in BUSY and clock() + pause < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
            try:
                async with await self._engines.open(
                    turn.request, turn.last_event_id, turn.traceparent, again=True
                ) as events:
                    async for frame in events:
                        accepted = _number_of(frame.id)
                        yield frame
            except ClaimedByLegacy:
                break
            except EngineFailed as failure:
                reason = failure.reason
                log.info("engine_retried", reason=str(failure))
                if accepted is not None:
                    yield _error(unavailable, turn.number.turn, accepted + 1)
                    return
            else:
                metrics.ENGINE_RETRIES.labels(outcome="answered").inc()
                return
        if self._engine_retry_s and reason in BUSY:
            metrics.ENGINE_RETRIES.labels(outcome="in_vain").inc()
        raise unavailable

    async def _reattach(
        self, turn: _Turn, reason: str, accepted: int | None
    ) -> AsyncGenerator[SseFrame, None]:
        """Follow a turn again that was given up a moment before its engine began to answer."""
        after = turn.last_event_id if accepted is None else f"{turn.number.turn}.{accepted}"
        for attempt in range(REATTACH_ATTEMPTS):
            if attempt:
                await asyncio.sleep(REATTACH_PAUSE_S)
            try:
                async with await self._engines.open(
                    turn.request, after, turn.traceparent, again=True
                ) as events:
                    async for frame in events:
                        after = frame.id
                        yield frame
            except (EngineFailed, EngineRefused, ClaimedByLegacy) as error:
                why = str(error)
                if isinstance(error, EngineFailed) and error.frame is not None:
                    yield error.frame
                    return
            else:
                metrics.ENGINE_REATTACHED.labels(outcome="answered").inc()
                return
        metrics.ENGINE_REATTACHED.labels(outcome="lost").inc()
        log.warning("engine_lost", reason=reason, again=why)
        lost = ErrorEvent(
            code="engine_lost", message="the engine took this turn and broke off", retryable=True
        )
        yield sse.frame(lost, f"{turn.number.turn}.{_number_of(after) + 1}")

    async def _legacy_at_once(self, turn: _Turn) -> _Fallback | None:
        """Return why the engine is not called at all; None where it is."""
        number = turn.number
        if not turn.flags.ENABLE_SYNC_CORE:
            return _Fallback(SYNC_OFF)
        if number.known and await self._legacy_has(turn):
            return _Fallback(ANSWERED_ELSEWHERE)
        session_id = turn.request.session_id
        if not number.legacy_pending or not self._legacy.enabled:
            return None
        if self._engines.circuit_open(session_id):
            # The turn goes to the legacy pipeline in any case, which keeps the order itself.
            return None
        busy = await self._numbers.legacy_is_busy(session_id, self._legacy_first_s)
        return _Fallback(BEHIND_LEGACY) if busy else None

    async def _legacy_has(self, turn: _Turn) -> bool:
        return await self._legacy.owns_turn(turn.request.session_id, turn.number.turn)

    def _with_flags(
        self, request: ChatRequest, client: str | None, *, whole_file: bool
    ) -> tuple[ChatRequest, FlagSet]:
        """Resolve the session's flags, once for the turn.

        What the caller says of both is dropped.
        """
        flags = self._flags.resolve(request.session_id)
        if whole_file and self._legacy.enabled:
            flags = flags.model_copy(
                update={"SYNC_TTS_STREAMING": False, "SYNC_TTS_BARGE_IN": False}
            )
        known = {"client": client, "known_turn": None, "flags": flags}
        meta = request.meta.model_copy(update=known)
        return request.model_copy(update={"meta": meta}), flags

    async def _first_number(self, request: ChatRequest, last_event_id: str | None) -> TurnNumber:
        if last_event_id is not None:
            turn = request.turn or sse.split_event_id(last_event_id)[0]
            return await self._numbers.reserve(request.session_id, turn, resumed=True)
        if request.turn is not None:
            return await self._numbers.reserve(request.session_id, request.turn)
        return await self._numbers.allocate(request.session_id, request.meta.request_id)


def check_event_id(last_event_id: str | None) -> None:
    """Raise Conflict for a Last-Event-ID that no event can have."""
    if last_event_id is not None and EVENT_ID.fullmatch(last_event_id) is None:
        why = f"Last-Event-ID: no event has the id {last_event_id[:40]!r}; ids are <turn>.<n>"
        raise Conflict(why, code="unknown_event", field="Last-Event-ID")


def _number_of(event_id: str | None) -> int:
    """Return the number of an event in its turn; -1 before the first."""
    return sse.split_event_id(event_id)[1] if event_id is not None else -1


def _numbered(request: ChatRequest, number: TurnNumber) -> ChatRequest:
    meta = request.meta.model_copy(update={"known_turn": number.after})
    return request.model_copy(update={"turn": number.turn, "meta": meta})


def _error(unavailable: LegacyUnavailable, turn: int, number: int) -> SseFrame:
    body = unavailable.body
    return sse.frame(
        ErrorEvent(code=body.code, message=body.message, retryable=True), f"{turn}.{number}"
    )
