"""Generates the reply of a turn, stores it in the history, and passes it to tts.

A turn that fails gets an error response from here.
"""

import time
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic import ValidationError

from chat_ai.context import TurnContext
from chat_ai.generator import GenerationFailed, ReplyGenerator
from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import ANONYMOUS, AiResponse, TtsRequest, UserInput, session_of
from dialog_contracts.limits import MAX_META_CHARS
from dialog_contracts.model import correlation_id
from dialog_redis.legacy import failures
from dialog_redis.legacy.failures import LocalizedText
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics, span_attributes, trace_context
from service_runtime.http.errors import field_error

log = structlog.get_logger("chat_worker")

NO_REPLY: Final = LocalizedText(
    "she cannot find an answer now; please send the message again", "她暂时想不出回答，请再发送一次"
)


class ChatWorker:
    """Processes jobs of `chat_requests`."""

    def __init__(self, recollection: TurnContext, generator: ReplyGenerator) -> None:
        self._context, self._generator = recollection, generator

    async def handle(self, job: Job) -> None:
        """Complete one job: the history and the request to tts are written in one transaction.

        A turn that is too old, or that has a response already, is not generated.
        """
        try:
            message = job.read(UserInput)
            session, turn = session_of(message), message.meta.turn
            if turn is None:
                raise ValueError("meta.turn: missing; a message in this list has a turn number")
        except ValueError as error:
            why = (
                field_error(error).body.message
                if isinstance(error, ValidationError)
                else str(error)
            )
            metrics.REQUESTS_REJECTED.labels(code="bad_chat_request").inc()
            await job.dead_letter(why, *failures.malformed(job.raw, why))
            return
        name = correlation_id(session, turn)
        names = {
            span_attributes.LOG_CORRELATION_ID: name,
            span_attributes.LOG_TRACE_ID: trace_context.trace_id(message.meta.traceparent),
        }
        structlog.contextvars.bind_contextvars(**names)
        if failures.is_expired(message.meta) or await self._context.answered(message.task_id, name):
            # The client already got a response; completing the job starts the session's next turn.
            await _fail(job, message, "too_late", failures.EXPIRED)
        elif message.meta.verbatim:
            await self._enqueue_speech(job, message, name, message.content)
        else:
            recent = await self._context.turns(session)
            try:
                reply = await self._generator.generate(session, recent, message.content)
            except GenerationFailed as problem:
                log.warning("no_reply", code=problem.code, reason=str(problem))
                await _fail(job, message, problem.code, NO_REPLY)
                return
            await self._enqueue_speech(job, message, name, reply)

    @staticmethod
    async def _enqueue_speech(job: Job, message: UserInput, name: str, reply: str) -> None:
        took = await job.complete(*_replied(message, name, reply))
        log.info("replied", chars=len(reply), attempts=job.attempts, was_ours=took)


async def _fail(job: Job, message: UserInput, code: str, text: LocalizedText) -> None:
    metrics.LEGACY_FAILURES.labels(stage="chat-ai", code=code).inc()
    if await job.complete(*failures.failed_turn(message, code, text)):
        metrics.TURNS.labels(path="legacy", outcome="failed").inc()


def _replied(message: UserInput, name: str, reply: str) -> list[RedisCommand]:
    session, turn = session_of(message), message.meta.turn
    assert turn is not None
    said = "" if message.meta.verbatim else message.content
    flags = message.meta.flags
    has_events = flags is not None and flags.ENABLE_SYNC_CORE and flags.ENABLE_STREAMS_OUTBOX
    record = TurnRecord(
        turn=turn,
        user=said,
        reply=reply,
        ts=int(time.time()),
        path="legacy",
        viewer_id=message.user_id[:MAX_META_CHARS] if message.user_id != ANONYMOUS else None,
        lang=message.meta.lang,
        traceparent=message.meta.traceparent,
        streams_outbox=has_events or None,
        vectorize=(has_events and flags is not None and flags.ENABLE_LTM) or None,
    )
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
        *commands.store_turns(session, [record]),
        *commands.announce_turn(record, session),
        commands.announce(redis_names.AI_RESPONSES, response),
        commands.push(redis_names.TTS_REQUESTS, request),
    ]
