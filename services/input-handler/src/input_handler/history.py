"""What was said before, for pages: read from the lists that engines publish after each commit."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import SessionList, SessionSummary, SessionTurns, TurnRecord
from service_runtime.errors import Unavailable
from service_runtime.redis_link import RedisDown, RedisLink

T = TypeVar("T")
SESSIONS_SHOWN: Final = 100


class History:
    """Raises Unavailable while Redis is down: history comes back with it, conversations go on without."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis

    async def sessions(self) -> SessionList:
        """The most recently active sessions."""

        async def work(client: Redis) -> list[tuple[str, float]]:
            found = await client.zrange(redis_names.SESSIONS, 0, SESSIONS_SHOWN - 1, desc=True, withscores=True)
            return cast("list[tuple[str, float]]", found)

        rows = await self._read(work)
        return SessionList(sessions=[SessionSummary(session_id=name, last_active=int(score)) for name, score in rows])

    async def turns(self, session_id: str) -> SessionTurns:
        """The recent turns of a session, oldest first; empty for one that was never used."""

        async def work(client: Redis) -> list[str]:
            return cast("list[str]", await client.lrange(redis_names.history(session_id), 0, -1))

        rows = await self._read(work)
        return SessionTurns(session_id=session_id, turns=[TurnRecord.from_json(row) for row in rows])

    async def _read(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            return await self._redis.call("history", work)
        except RedisDown as error:
            raise Unavailable(
                "history cannot be read now; conversations go on", code="history_unavailable", retry_after_s=2
            ) from error
