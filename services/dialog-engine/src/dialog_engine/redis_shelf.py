"""What the engine keeps in Redis: the claim on a reply, the recent turns for the next owner and for pages, one sample per turn."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.samples import TurnSample
from service_runtime.redis_link import RedisDown, RedisLink

log = structlog.get_logger("redis_shelf")

_RAISE_COUNTER = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
"""


class RedisShelf:
    """Every method survives a Redis that is down: the claim is then granted, the rest is written again with the next turn."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis

    async def claim_reply(self, correlation_id: str) -> bool:
        """Whether this path may answer the turn; true when Redis is silent, because the caller then refuses the other path."""
        key = redis_names.reply_claim(correlation_id)

        async def work(client: Redis) -> bool:
            held = await client.set(key, "sync", nx=True, ex=redis_names.REPLY_CLAIM_TTL_S, get=True)
            return held is None or held == "sync"

        try:
            return await self._redis.call("claim", work)
        except RedisDown:
            return True

    async def publish_history(self, session_id: str, records: list[TurnRecord]) -> None:
        """Replace the session's list of recent turns, oldest first, and raise its counter to the last of them."""
        if not records:
            return

        async def work(client: Redis) -> None:
            key = redis_names.history(session_id)
            pipe = client.pipeline(transaction=True)
            pipe.delete(key)
            pipe.rpush(key, *(record.to_json() for record in records))
            pipe.expire(key, redis_names.SESSION_TTL_S)
            pipe.zadd(redis_names.SESSIONS, {session_id: int(time.time())})
            pipe.zremrangebyrank(redis_names.SESSIONS, 0, -redis_names.SESSIONS_MAX - 1)
            pipe.eval(_RAISE_COUNTER, 1, redis_names.turn_counter(session_id), str(records[-1].turn))
            await pipe.execute()

        await self._try("history", work)

    async def add_sample(self, sample: TurnSample) -> None:
        """One entry of `vtuber:turns`."""

        async def work(client: Redis) -> None:
            fields: dict[Any, Any] = {"session": sample.session_id, "turn": str(sample.turn), "sample": sample.to_json()}
            await client.xadd(redis_names.TURN_SAMPLES, fields, maxlen=redis_names.TURN_SAMPLES_MAXLEN, approximate=True)

        await self._try("sample", work)

    async def _try(self, purpose: str, work: Callable[[Redis], Awaitable[None]]) -> None:
        try:
            await self._redis.call(purpose, work)
        except RedisDown as error:
            log.warning("not_shelved", purpose=purpose, reason=str(error))
