"""One whole reply: prompt, model, history, and on to the voice."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import AiResponse, TtsRequest, UserInput, session_of
from dialog_contracts.limits import REPLY_CHARS
from dialog_contracts.model import correlation_id
from dialog_contracts.samples import TurnSample
from dialog_llm import prompt
from dialog_llm.brains import Brains
from dialog_llm.errors import LlmError
from dialog_telemetry import attributes, metrics, trace_context
from service_runtime import effects, refusals
from service_runtime.effects import Effect
from service_runtime.errors import field_error
from service_runtime.redis_link import RedisDown, RedisLink
from service_runtime.session_history import SessionHistory
from service_runtime.work_list import Job

log = structlog.get_logger("replies")

LOOK_AGAIN_S: Final = 0.5


class Replies:
    """`take` is the work on one message of `chat_requests`."""

    def __init__(self, redis: RedisLink, brains: Brains, *, context_turns: int, within_s: float) -> None:
        self._history, self._brains = SessionHistory(redis), brains
        self._context_turns, self._within_s = context_turns, within_s

    async def take(self, job: Job) -> None:
        """Write the reply, and give it to the voice and to history in one step; or say why there is none."""
        try:
            message = job.read(UserInput)
            session, turn = session_of(message), message.meta.turn
            if turn is None:
                raise ValueError("meta.turn: a turn in this list has a number")
        except ValueError as error:
            why = field_error(error).body.message if isinstance(error, ValidationError) else str(error)
            await job.bury(why, *refusals.unreadable(job.raw, why))
            return
        name = correlation_id(session, turn)
        trace_id = trace_context.trace_id(message.meta.traceparent)
        structlog.contextvars.bind_contextvars(**{attributes.LOG_CORRELATION_ID: name, attributes.LOG_TRACE_ID: trace_id})
        try:
            async with asyncio.timeout(self._within_s):
                reply = message.content if message.meta.verbatim else await self._write(message, session)
        except (LlmError, TimeoutError) as error:
            code = error.code if isinstance(error, LlmError) else "llm_timeout"
            log.warning("no_reply", code=code, reason=repr(error)[:200])
            metrics.LEGACY_FAILURES.labels(stage="chat-ai", code=code).inc()
            await job.done(*_failed(message, session, turn, code))
            return
        await job.done(*_replied(message, session, turn, reply))
        log.info("replied", chars=len(reply), attempts=job.attempts)

    @staticmethod
    def given_up(raw: str) -> Sequence[Effect]:
        """Tell whoever waits."""
        return refusals.unreadable(raw, "this message could not be answered; send it again", code="given_up")

    async def _write(self, message: UserInput, session: str) -> str:
        brain = self._brains.of(session)

        recent = await self._recent(session)
        messages = prompt.build(brain.instructions, recent, message.content)
        async with aclosing(brain.llm.stream(messages, brain.options)) as stream:
            return "".join([piece async for piece in stream])[:REPLY_CHARS]

    async def _recent(self, session: str) -> list[TurnRecord]:
        while True:
            try:
                return await self._history.prompt_turns(session, self._context_turns)
            except RedisDown:
                # Without history she would answer as somebody who was not there: then rather later.
                await asyncio.sleep(LOOK_AGAIN_S)


def _replied(message: UserInput, session: str, turn: int, reply: str) -> list[Effect]:
    name = correlation_id(session, turn)
    said = "" if message.meta.verbatim else message.content
    record = TurnRecord(turn=turn, user=said, reply=reply, ts=int(time.time()), path="legacy")
    response = AiResponse(
        user_id=message.user_id,
        text=reply,
        original_message_id=f"{name}:user",
        timestamp=datetime.now(UTC).isoformat(),
        correlation_id=name,
    )
    request = TtsRequest(
        message_id=name,
        task_id=message.task_id,
        text=reply,
        response_channel=redis_names.task_response(message.task_id),
        user_text=said or None,
        meta=message.meta,
    )
    return [
        *effects.remember(session, [record]),
        *effects.said(record, session),
        effects.announce(redis_names.AI_RESPONSES, response),
        effects.push(redis_names.TTS_REQUESTS, request),
    ]


def _failed(message: UserInput, session: str, turn: int, code: str) -> list[Effect]:
    entry = TurnSample(
        session_id=session,
        turn=turn,
        flags=message.meta.flags or FlagSet(),
        path="legacy",
        outcome="failed",
        reason=code,
        ts=time.time(),
        traceparent=message.meta.traceparent,
    )
    why = "the language model cannot answer now; send the message again"
    return [*refusals.refusal(session, turn, message.meta, code, why), effects.sample(entry)]
