"""The turn of a session that plays where the lease holder cannot query it.

That is a turn of an engine that has released the session, or a voice file. A new message interrupts
such a turn, and its own prompt must wait until the played text is known.
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
"""Longest wait for the played text in seconds: the process that plays the turn may be dead."""

POLL_INTERVAL_S: Final = 0.02
TTL_S: Final = 15 * 60

_FINISH: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class ActivePlayback:
    """Records at most one turn per session.

    While Redis is not available, no turn counts as playing.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def started(self, session_id: str, turn: int) -> None:
        """Record that a turn is playing."""

        async def work(client: Redis) -> None:
            await client.set(redis_names.active_playback(session_id), str(turn), ex=TTL_S)

        await self._call(session_id, work)

    async def finished(self, session_id: str, turn: int) -> None:
        """Remove the record of this turn. Its played text has been stored before."""

        async def work(client: Redis) -> None:
            await client.eval(_FINISH, 1, redis_names.active_playback(session_id), str(turn))

        await self._call(session_id, work)

    async def current(self, session_id: str) -> int:
        """Return the turn, or 0 for none and while Redis is not available."""
        try:
            return await self._turn(session_id)
        except RedisUnavailable:
            return 0

    async def wait_finished(self, session_id: str, turn: int) -> None:
        """Wait until this turn has finished, for 0.3 s at most; then remove its record."""
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_TIMEOUT_S
        with suppress(RedisUnavailable):
            while clock() < until:
                if await self._turn(session_id) != turn:
                    return
                await asyncio.sleep(POLL_INTERVAL_S)
        # The process that plays it did not answer in time; nothing else would remove the record
        # soon.
        await self.finished(session_id, turn)

    async def _turn(self, session_id: str) -> int:
        async def work(client: Redis) -> int:
            return int(await client.get(redis_names.active_playback(session_id)) or 0)

        return await self._redis.call(PURPOSE, work)

    async def _call(self, session_id: str, work: Callable[[Redis], Awaitable[None]]) -> None:
        try:
            await self._redis.call(PURPOSE, work)
        except RedisUnavailable as error:
            log.info("active_playback_not_published", session=session_id, reason=str(error))
