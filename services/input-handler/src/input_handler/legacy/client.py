"""Sends turns through the legacy pipeline.

A turn is claimed (`reply:{id}`) and pushed into `user_input_queue` in one step; its response is
announced on `task_response:{session}` and becomes events here. A response that does not come in time
is replaced by an error, which is stored so that a late response changes nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names, sse
from dialog_contracts.http import ChatRequest, Command, TurnType
from dialog_contracts.legacy_chain import ANONYMOUS, ChainMeta, TaskResponse, UserInput
from dialog_contracts.model import correlation_id
from dialog_contracts.sse import (
    ChatEvent,
    ControlEvent,
    DoneEvent,
    DoneStats,
    ErrorEvent,
    SseFrame,
    TextDeltaEvent,
)
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.legacy import failures
from dialog_redis.legacy.responses import LegacyResponses
from dialog_redis.work_queue import commands
from dialog_telemetry import metrics
from input_handler.errors import ClaimedByEngine, LegacyUnavailable

log = structlog.get_logger("legacy")

ENQUEUE_TIMEOUT_S: Final = 10.0
"""Seconds to retry for: no other path would answer the turn."""

QUEUED: Final = "queued"
ALREADY_QUEUED: Final = "already"
CLAIMED_BY_ENGINE: Final = "sync"

# The claim and the push are one step, so that a claimed turn is in the queue even if this process
# dies.
_CLAIM_AND_PUSH: Final = """
local held = redis.call('GET', KEYS[1])
if held == 'legacy' then return 'already' end
if held then return 'sync' end
redis.call('SET', KEYS[1], 'legacy', 'EX', ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[2])
-- A number that was given while Redis was late must not be given again.
if tonumber(redis.call('GET', KEYS[3]) or '0') < tonumber(ARGV[3]) then redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4]) end
return 'queued'
"""


class LegacyClient:
    """Queues turns and waits for their responses.

    A response becomes the events 0 ACCEPTED, 1 text, 2 end of the text, 3 done.
    """

    def __init__(
        self, redis: RedisClient, answers: LegacyResponses, *, enabled: bool, timeout_s: float
    ) -> None:
        self._redis, self._responses, self._timeout_s = redis, answers, timeout_s
        self.enabled = enabled

    async def owns_turn(self, session_id: str, turn: int) -> bool:
        """Return whether the legacy pipeline has this turn; False while Redis is not available."""

        async def work(client: Redis) -> bool:
            return bool(
                await client.get(redis_names.reply_claim(correlation_id(session_id, turn)))
                == "legacy"
            )

        try:
            return self.enabled and await self._redis.call("claim", work)
        except RedisUnavailable:
            return False

    async def open(
        self,
        request: ChatRequest,
        reason: str,
        *,
        detail: str = "",
        after: int = -1,
        accepted: int | None = None,
        traceparent: str | None = None,
        since: float | None = None,
    ) -> "LegacyTurn":
        """Enqueue the turn and return its events after the number `after`.

        `accepted` is the number of the engine's ACCEPTED, if the caller has seen one; `since` is the
        loop's time at which the engine was called. Raises LegacyUnavailable where the pipeline does
        not take the turn, and ClaimedByEngine where an engine has begun to answer it.
        """
        assert request.turn is not None
        if not self.enabled:
            await self._record_unanswered(request, reason)
            raise self._unavailable(reason, detail, "the legacy chain is switched off")
        if request.type is TurnType.COMMAND and request.content == Command.RESET:
            events = await self._reset(request, reason)
            return LegacyTurn(_with_ids(request, after, events))
        clock = asyncio.get_running_loop().time
        began = clock()
        answer: asyncio.Future[TaskResponse] = asyncio.get_running_loop().create_future()
        name = correlation_id(request.session_id, request.turn)

        def take(response: TaskResponse) -> None:
            if not answer.done():
                answer.set_result(response)

        def unsubscribe() -> None:
            self._responses.unsubscribe(request.session_id, take)

        async def rest() -> Iterator[SseFrame]:
            response = await self._wait(answer, request, began)
            metrics.LEGACY_SECONDS.observe(clock() - began)
            metrics.LEGACY_TURNS.labels(outcome=response.metadata.code or "answered").inc()
            events = _to_events(response, reason, (clock() - began) * 1000)
            return _with_ids(request, after, events, first=(accepted or 0) + 1)

        # Subscribed before the turn is in the queue: its response may come at once.
        self._responses.subscribe(request.session_id, take, only=name)
        try:
            outcome = await self._enqueue(request, reason, detail, traceparent)
            if since is not None and outcome == QUEUED:
                metrics.FALLBACK_SECONDS.observe(clock() - since)
            if outcome == CLAIMED_BY_ENGINE:
                raise ClaimedByEngine
        except BaseException:
            unsubscribe()
            raise
        first = _with_ids(request, after, [_accepted(request)] if accepted is None else [])
        return LegacyTurn(first, rest, unsubscribe)

    async def _enqueue(
        self, request: ChatRequest, reason: str, detail: str, traceparent: str | None
    ) -> str:
        """Claim and push the turn; return QUEUED, ALREADY_QUEUED or CLAIMED_BY_ENGINE."""
        assert request.turn is not None
        message = _message(request, reason, traceparent)
        claim = redis_names.reply_claim(correlation_id(request.session_id, request.turn))

        async def work(client: Redis) -> str:
            keys = (
                claim,
                redis_names.USER_INPUT_QUEUE,
                redis_names.turn_counter(request.session_id),
            )
            lives = (str(redis_names.REPLY_CLAIM_TTL_S), str(redis_names.SESSION_TTL_S))
            values = (lives[0], message.to_json(), str(request.turn), lives[1])
            return str(await client.eval(_CLAIM_AND_PUSH, len(keys), *keys, *values))

        try:
            # A repetition does no harm: a queued turn is found by its claim.
            outcome = await self._redis.call_with_deadline(ENQUEUE_TIMEOUT_S, "legacy", work)
        except RedisUnavailable as error:
            raise self._unavailable(reason, detail, error.why) from error
        if outcome == QUEUED:
            metrics.FALLBACKS.labels(reason=reason).inc()
            log.warning(
                "legacy_turn", reason=reason, detail=detail
            ) if reason != "sync_core_off" else log.info("legacy_turn")
        return outcome

    async def _wait(
        self, answer: asyncio.Future[TaskResponse], request: ChatRequest, began: float
    ) -> TaskResponse:
        """Return the response, or after the deadline the error that is stored as the response."""
        clock = asyncio.get_running_loop().time
        with_grace = asyncio.timeout_at(began + self._timeout_s)
        try:
            async with with_grace:
                return await asyncio.shield(answer)
        except TimeoutError:
            why = f"no answer came within {self._timeout_s:.0f} s; send the message again"
            name = correlation_id(request.session_id, request.turn or 1)
        stands = await self.publish_failure(
            request.session_id, name, "legacy_timeout", why, request.turn
        )
        log.error(
            "legacy_too_late",
            waited_s=round(clock() - began, 1),
            stands=stands.metadata.code or "answer",
        )
        return stands

    async def publish_failure(
        self, session_id: str, name: str, code: str, why: str, turn: int | None
    ) -> TaskResponse:
        """Store and announce that a turn failed.

        Return the stored response, which may be an earlier one.
        """
        events = failures.error_response(
            name, session_id, code, why, ChainMeta(session_id=session_id, turn=turn)
        )
        try:
            return await self._responses.store(events)
        except RedisUnavailable as error:
            log.warning("failure_not_published", turn_name=name, code=code, reason=str(error))
            return events

    async def _reset(self, request: ChatRequest, reason: str) -> list[ChatEvent]:
        turn = request.turn or 0

        async def work(client: Redis) -> None:
            await client.set(
                redis_names.reset_after(request.session_id), str(turn), ex=redis_names.SESSION_TTL_S
            )

        try:
            await self._redis.call("legacy", work)
        except RedisUnavailable as error:
            raise self._unavailable(reason, "", "Redis does not answer") from error
        stats = DoneStats(turn=turn, path="legacy", fallback_reason=reason)
        return [_accepted(request), DoneEvent(stats=stats)]

    async def _record_unanswered(self, request: ChatRequest, reason: str) -> None:
        """Append a sample for a turn that neither path answers."""
        if request.turn is None or request.meta.flags is None:
            return
        entry = TurnSample(
            session_id=request.session_id,
            turn=request.turn,
            flags=request.meta.flags,
            path="none",
            outcome="failed",
            reason=reason,
            ts=time.time(),
        )

        async def work(client: Redis) -> None:
            await client.execute_command(*commands.sample_command(entry))  # type: ignore[no-untyped-call]

        try:
            await self._redis.call("sample", work)
        except RedisUnavailable as error:
            log.warning("redis_write_failed", purpose="sample", reason=str(error))

    @staticmethod
    def _unavailable(reason: str, detail: str, why: str) -> LegacyUnavailable:
        metrics.FALLBACKS.labels(reason=reason).inc()
        metrics.LEGACY_TURNS.labels(outcome="unavailable").inc()
        log.warning("legacy_unavailable", reason=reason, detail=detail, why=why)
        main = (
            "the main path is switched off"
            if reason == "sync_core_off"
            else f"the engine does not answer ({reason})"
        )
        return LegacyUnavailable(f"{main}, and {why}", retry_after_s=1)


class LegacyTurn:
    """An asynchronous iterator over the events of one turn: ACCEPTED, then the response as a whole.

    `rest` waits for the response; `on_close` runs once, when the turn is closed.
    """

    def __init__(
        self,
        first: Iterator[SseFrame],
        rest: Callable[[], Awaitable[Iterator[SseFrame]]] | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames, self._rest, self._on_close = first, rest, on_close

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SseFrame:
        frame = next(self._frames, None)
        if frame is None and self._rest is not None:
            rest, self._rest = self._rest, None
            self._frames = await rest()
            frame = next(self._frames, None)
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._on_close()


def _with_ids(
    request: ChatRequest, after: int, events: Sequence[ChatEvent], first: int = 0
) -> Iterator[SseFrame]:
    for number, event in enumerate(events, first):
        if number > after:
            yield sse.frame(event, f"{request.turn}.{number}")


def _accepted(request: ChatRequest) -> ControlEvent:
    return ControlEvent(action="ACCEPTED", session_id=request.session_id, turn=request.turn)


def _message(request: ChatRequest, reason: str, traceparent: str | None) -> UserInput:
    verbatim = request.type is TurnType.COMMAND
    now = time.time()
    return UserInput(
        task_id=request.session_id,
        content=(request.meta.text or "") if verbatim else request.content,
        user_id=request.meta.viewer_id or ANONYMOUS,
        source="asr" if request.type is TurnType.ASR_FINAL else "user",
        timestamp=now,
        meta=ChainMeta(
            from_channel="asr_results" if request.type is TurnType.ASR_FINAL else "input_handler",
            provider="direct_upload",
            lang=request.meta.lang,
            session_id=request.session_id,
            turn=request.turn,
            request_id=request.meta.request_id,
            flags=request.meta.flags,
            reason=reason,
            verbatim=verbatim,
            traceparent=traceparent,
            received_at=now,
        ),
    )


def _to_events(response: TaskResponse, reason: str, total_ms: float) -> list[ChatEvent]:
    """Return a response as the events of a turn."""
    if response.status == "error":
        message = response.error or "the legacy chain could not answer"
        return [
            ErrorEvent(
                code=response.metadata.code or "legacy_failed", message=message, retryable=True
            )
        ]
    stats = DoneStats(
        ttft_ms=round(total_ms, 1),
        tokens=1,
        total_ms=round(total_ms, 1),
        voice=response.metadata.provider if response.audio is not None else "unavailable",
        turn=response.meta.turn,
        path="legacy",
        fallback_reason=response.meta.reason or reason,
    )
    return [
        TextDeltaEvent(content=response.text),
        TextDeltaEvent(content="", eos=True),
        DoneEvent(stats=stats),
    ]
