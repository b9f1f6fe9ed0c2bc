"""What is kept of each user, in Redis: every user apart, bounded, forgotten with time."""

import json
import time
import uuid
from typing import Any, Final, cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from long_term_memory.likeness import features, score
from service_runtime.effects import Effect
from service_runtime.redis_link import RedisLink

FOUND_MAX: Final = 50


class Store:
    """Reads wait for Redis; what is to be written is given as effects, so that it happens with the answer."""

    def __init__(self, redis: RedisLink, *, memories: int, ttl_s: int) -> None:
        self._redis, self._memories, self._ttl_s = redis, memories, ttl_s

    def added(self, user_id: str, content: str, metadata: dict[str, Any]) -> tuple[dict[str, Any], list[Effect]]:
        """A new memory, and what makes it last."""
        now = time.time()
        memory = {"id": uuid.uuid4().hex, "content": content, "metadata": metadata, "timestamp": now}
        key = redis_names.user_memories(user_id)
        return memory, [
            ("ZADD", key, str(int(now * 1000)), json.dumps(memory, ensure_ascii=False)),
            ("ZREMRANGEBYRANK", key, "0", str(-self._memories - 1)),
            ("EXPIRE", key, str(self._ttl_s)),
        ]

    async def search(self, user_id: str, question: str, count: int) -> list[dict[str, Any]]:
        """What this user's memories say about the question, the likest first, of equals the newest."""

        async def work(client: Redis) -> list[str]:
            return [str(row) for row in await client.zrange(redis_names.user_memories(user_id), 0, -1, desc=True)]

        asked = features(question)
        scored = [
            (score(asked, memory["content"]), memory) for memory in map(json.loads, await self._redis.patiently("ltm", work))
        ]
        found = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        return [{**memory, "score": round(value, 3)} for value, memory in found[: min(count, FOUND_MAX)]]

    async def profile(self, user_id: str) -> dict[str, Any]:
        """The user's profile; empty for one that nobody knows."""

        async def work(client: Redis) -> dict[str, str]:
            return cast("dict[str, str]", await client.hgetall(redis_names.user_profile(user_id)))

        return {name: json.loads(value) for name, value in (await self._redis.patiently("ltm", work)).items()}

    def updated(self, user_id: str, updates: dict[str, Any]) -> list[Effect]:
        """Fields of the profile that are set."""
        key = redis_names.user_profile(user_id)
        fields = [part for name, value in updates.items() for part in (name, json.dumps(value, ensure_ascii=False))]
        return [("HSET", key, *fields), ("EXPIRE", key, str(self._ttl_s))] if fields else []
