"""The recent turns of a session in Redis.

The session's next lease holder, the legacy pipeline and pages read them.
"""

from typing import cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_redis.client import RedisClient


class SessionHistory:
    """Reads the shared history. Every method raises RedisUnavailable."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def turns(self, session_id: str, *, after: int = 0) -> list[TurnRecord]:
        """Return the turns after turn `after`, oldest first; empty for a session without turns."""

        async def work(client: Redis) -> list[str]:
            return cast(
                "list[str]",
                await client.zrangebyscore(redis_names.history(session_id), f"({after}", "+inf"),
            )

        return [TurnRecord.from_json(row) for row in await self._redis.call("history", work)]

    async def exists(self, session_id: str) -> bool:
        """Return whether Redis has any turn of the session."""

        async def work(client: Redis) -> bool:
            return bool(await client.exists(redis_names.history(session_id)))

        return await self._redis.call("history", work)

    async def reset_after(self, session_id: str) -> int:
        """Return the last turn before a RESET; 0 without one."""

        async def work(client: Redis) -> int:
            return int(await client.get(redis_names.reset_after(session_id)) or 0)

        return await self._redis.call("history", work)

    async def prompt_turns(self, session_id: str, count: int) -> list[TurnRecord]:
        """Return the last `count` turns after a RESET, oldest first."""
        turns = await self.turns(session_id, after=await self.reset_after(session_id))
        return turns[-count:] if count else []
