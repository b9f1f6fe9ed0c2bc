"""What somebody said, on its way into the chain."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, UserInput, session_of
from dialog_contracts.model import correlation_id
from service_runtime import refusals
from service_runtime.effects import Effect, submit
from service_runtime.errors import field_error
from service_runtime.redis_link import RedisLink
from service_runtime.work_list import Job

log = structlog.get_logger("intake")

ANONYMOUS: Final = "anonymous"

# A turn of a producer that knows neither numbers nor claims: both are taken in one step.
_NUMBER_AND_CLAIM: Final = """
local turn = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SET', ARGV[3] .. turn, 'legacy', 'EX', ARGV[2])
return turn
"""


class Intake:
    """`take` is the work on one message of `user_input_queue`."""

    def __init__(self, redis: RedisLink, *, messages: int, ttl_s: int) -> None:
        self._redis, self._messages, self._ttl_s = redis, messages, ttl_s

    async def take(self, job: Job) -> None:
        """File it, and put it at the end of its session's turns in the chain."""
        try:
            message = job.read(UserInput)
        except ValidationError as error:
            why = field_error(error).body.message
            await job.bury(why, *refusals.unreadable(job.raw, why))
            return
        if message.meta.turn is None:
            message = await self._numbered(message)
        session, turn = session_of(message), message.meta.turn
        assert turn is not None
        name = correlation_id(session, turn)
        filed = await job.done(*self._filed(message, name), submit(session, name, redis_names.CHAT_REQUESTS, message))
        log.info("filed", correlationId=name, source=message.source, reason=message.meta.reason, was_ours=filed)

    @staticmethod
    def given_up(raw: str) -> Sequence[Effect]:
        """Tell whoever waits."""
        return refusals.unreadable(raw, "this message could not be filed; send it again", code="given_up")

    async def _numbered(self, message: UserInput) -> UserInput:
        session = session_of(message)

        async def work(client: Redis) -> int:
            values = (
                str(redis_names.SESSION_TTL_S),
                str(redis_names.REPLY_CLAIM_TTL_S),
                redis_names.reply_claim(f"{session}#"),
            )
            return int(await client.eval(_NUMBER_AND_CLAIM, 1, redis_names.turn_counter(session), *values))

        turn = await self._redis.patiently("turn_number", work)
        known: ChainMeta = message.meta.model_copy(update={"session_id": session, "turn": turn})
        return message.model_copy(update={"meta": known})

    def _filed(self, message: UserInput, name: str) -> list[Effect]:
        """The viewer's last messages, newest last. Somebody without a name is known in his session only."""
        owner = session_of(message) if message.user_id == ANONYMOUS else message.user_id
        key = redis_names.viewer_context(owner)
        item = {
            "message_id": f"{name}:user",
            "user_id": message.user_id,
            "type": message.type,
            "content": message.content,
            "source": message.source,
            "timestamp": datetime.fromtimestamp(message.timestamp, UTC).isoformat(),
            "require_ai_response": True,
            "metadata": {"task_id": message.task_id},
        }
        return [
            ("RPUSH", key, json.dumps(item, ensure_ascii=False)),
            ("LTRIM", key, str(-self._messages), "-1"),
            ("EXPIRE", key, str(self._ttl_s)),
        ]
