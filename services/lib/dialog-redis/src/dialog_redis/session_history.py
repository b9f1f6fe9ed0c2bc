"""The recent turns of a session as Redis keeps them for everybody: the engine's next owner, the legacy chain, pages."""

from typing import cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_redis.client import RedisClient


class SessionHistory:
    """Raises RedisDown."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def turns(self, session_id: str, *, after: int = 0) -> list[TurnRecord]:
        """The turns after this one, oldest first; empty for a session that was never used."""

        async def work(client: Redis) -> list[str]:
            return cast(
                "list[str]",
                await client.zrangebyscore(redis_names.history(session_id), f"({after}", "+inf"),
            )

        return [TurnRecord.from_json(row) for row in await self._redis.call("history", work)]

    async def exists(self, session_id: str) -> bool:
        """Whether the session ever had a turn, as far as Redis remembers."""

        async def work(client: Redis) -> bool:
            return bool(await client.exists(redis_names.history(session_id)))

        return await self._redis.call("history", work)

    async def reset_after(self, session_id: str) -> int:
        """The last turn before a RESET; 0 without one."""

        async def work(client: Redis) -> int:
            return int(await client.get(redis_names.reset_after(session_id)) or 0)

        return await self._redis.call("history", work)

    async def prompt_turns(self, session_id: str, count: int) -> list[TurnRecord]:
        """The last turns that belong into a prompt, oldest first."""
        turns = await self.turns(session_id, after=await self.reset_after(session_id))
        return turns[-count:] if count else []
