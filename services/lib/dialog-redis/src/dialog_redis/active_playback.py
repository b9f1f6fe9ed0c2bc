"""Which turn of a session is spoken by somebody whom the session's owner cannot ask: an engine that gave it away, a voice file.

A new message cuts such a turn off, and its own prompt must wait until it is known what was heard.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient, RedisUnavailable

log = structlog.get_logger("active_playback")

PURPOSE: Final = "sounding"
WAIT_TIMEOUT_S: Final = 0.3
"""How long somebody waits for the words: whoever speaks may be dead."""

POLL_INTERVAL_S: Final = 0.02
TTL_S: Final = 15 * 60

_FINISH: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class ActivePlayback:
    """One turn of a session at most. Where Redis is silent, nothing is known to sound."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def started(self, session_id: str, turn: int) -> None:
        """A turn sounds from now on."""

        async def work(client: Redis) -> None:
            await client.set(redis_names.active_playback(session_id), str(turn), ex=TTL_S)

        await self._finished_message(session_id, work)

    async def finished(self, session_id: str, turn: int) -> None:
        """It sounds no more, and what was heard of it is where everybody reads it."""

        async def work(client: Redis) -> None:
            await client.eval(_FINISH, 1, redis_names.active_playback(session_id), str(turn))

        await self._finished_message(session_id, work)

    async def current(self, session_id: str) -> int:
        """The turn; 0 for none."""
        try:
            return await self._turn(session_id)
        except RedisUnavailable:
            return 0

    async def wait_finished(self, session_id: str, turn: int) -> None:
        """Wait for that, for a moment at most."""
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_TIMEOUT_S
        with suppress(RedisUnavailable):
            while clock() < until:
                if await self._turn(session_id) != turn:
                    return
                await asyncio.sleep(POLL_INTERVAL_S)
        # It will not be said any more.
        await self.finished(session_id, turn)

    async def _turn(self, session_id: str) -> int:
        async def work(client: Redis) -> int:
            return int(await client.get(redis_names.active_playback(session_id)) or 0)

        return await self._redis.call(PURPOSE, work)

    async def _finished_message(
        self, session_id: str, work: Callable[[Redis], Awaitable[None]]
    ) -> None:
        try:
            await self._redis.call(PURPOSE, work)
        except RedisUnavailable as error:
            log.info("active_playback_not_published", session=session_id, reason=str(error))
