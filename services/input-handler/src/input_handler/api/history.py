"""Sessions and their turns, as Redis stores them for both paths."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import SessionList, SessionSummary, SessionTurns
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.session_history import SessionHistory
from service_runtime.http.errors import Unavailable

MAX_LISTED_SESSIONS: Final = 100


class History:
    """Raises Unavailable while Redis is not available; turns do not need it."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._history = redis, SessionHistory(redis)

    async def sessions(self) -> SessionList:
        """Return the most recently active sessions."""

        async def work(client: Redis) -> list[tuple[str, float]]:
            found = await client.zrange(
                redis_names.SESSIONS, 0, MAX_LISTED_SESSIONS - 1, desc=True, withscores=True
            )
            return cast("list[tuple[str, float]]", found)

        with _redis_errors():
            rows = await self._redis.call("history", work)
        return SessionList(
            sessions=[
                SessionSummary(session_id=name, last_active=int(score)) for name, score in rows
            ]
        )

    async def turns(self, session_id: str) -> SessionTurns:
        """Return a session's recent turns, oldest first; none for an unknown session."""
        with _redis_errors():
            return SessionTurns(session_id=session_id, turns=await self._history.turns(session_id))


@contextmanager
def _redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisUnavailable as error:
        raise Unavailable(
            "history cannot be read now; conversations go on",
            code="history_unavailable",
            retry_after_s=2,
        ) from error
