"""Stores a user's message and appends its turn to the session's queue.

Turns of a session are answered one after the other: only the first turn of a queue is in the work
queue of chat-ai, and its response starts the next one.

Older producers write into `user_input_queue` directly, without a turn number and a reply claim.
Such a message gets both here, before it is queued.
"""

import hashlib
import time
from typing import Final

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, UserInput, session_of
from dialog_contracts.model import correlation_id
from dialog_redis.client import RedisClient
from dialog_redis.legacy import failures
from dialog_redis.work_queue.commands import RedisCommand, submit
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics, span_attributes, trace_context
from memory.viewer_history import ViewerHistory
from service_runtime.http.errors import field_error

log = structlog.get_logger("input_worker")

OLDER_PRODUCER: Final = "older_producer"
"""Reason of a turn that did not come through input-handler."""

# Assigns a number and a reply claim atomically; a message that is processed again keeps its number.
# KEYS: turn counter, number of this message.
# ARGV: lifetime of the counter and of claims in seconds, key prefix of claims.
_NUMBER_AND_CLAIM: Final = """
local known = redis.call('GET', KEYS[2])
if known then return tonumber(known) end
local turn
repeat
  turn = redis.call('INCR', KEYS[1])
until redis.call('SET', ARGV[3] .. turn, 'legacy', 'NX', 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], turn, 'EX', ARGV[2])
return turn
"""


class InputWorker:
    """Processes jobs of `user_input_queue`."""

    def __init__(self, redis: RedisClient, context: ViewerHistory) -> None:
        self._redis, self._context = redis, context

    async def handle(self, job: Job) -> None:
        """Store the message and queue its turn, in one transaction."""
        try:
            message = job.read(UserInput)
            if not message.content.strip():
                raise ValueError("content: is blank")
        except ValueError as error:
            why = (
                field_error(error).body.message
                if isinstance(error, ValidationError)
                else str(error)
            )
            metrics.REQUESTS_REJECTED.labels(code="bad_user_input").inc()
            await job.dead_letter(why, *failures.malformed(job.raw, why))
            return
        after: list[RedisCommand] = []
        if message.meta.turn is None:
            message, after = await self._with_number(message, job.raw)
        session, turn = session_of(message), message.meta.turn
        assert turn is not None
        name = correlation_id(session, turn)
        trace_id = trace_context.trace_id(message.meta.traceparent)
        structlog.contextvars.bind_contextvars(
            **{span_attributes.LOG_CORRELATION_ID: name, span_attributes.LOG_TRACE_ID: trace_id}
        )
        # A verbatim text (SAY) is not a message of a viewer.
        words = (
            [] if message.meta.verbatim else self._context.append_commands(message, session, name)
        )
        filed = await job.complete(
            *words, submit(session, name, redis_names.CHAT_REQUESTS, message), *after
        )
        log.info(
            "filed",
            source=message.source,
            reason=message.meta.reason,
            attempts=job.attempts,
            was_ours=filed,
        )

    async def _with_number(
        self, message: UserInput, raw: str
    ) -> tuple[UserInput, list[RedisCommand]]:
        """Return the message with a turn number, and commands to execute with it.

        The commands delete the record of the number.
        """
        session = session_of(message)
        this = "memory:" + hashlib.sha256(raw.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        number = redis_names.turn_of_request(session, this)

        async def work(client: Redis) -> int:
            keys = (redis_names.turn_counter(session), number)
            claims = redis_names.reply_claim(f"{session}#")
            values = (str(redis_names.SESSION_TTL_S), str(redis_names.REPLY_CLAIM_TTL_S), claims)
            return int(await client.eval(_NUMBER_AND_CLAIM, len(keys), *keys, *values))

        known: ChainMeta = message.meta.model_copy(
            update={
                "session_id": session,
                "turn": await self._redis.call_until_available("turn_number", work),
                "reason": message.meta.reason or OLDER_PRODUCER,
                "received_at": message.meta.received_at or time.time(),
            }
        )
        return message.model_copy(update={"meta": known}), [("DEL", number)]
