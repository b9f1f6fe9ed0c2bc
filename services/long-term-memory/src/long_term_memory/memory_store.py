"""Memories and profiles of users in Redis.

Each user has a sorted set of memories, scored by time, and a hash with the profile. Both are
bounded and expire. Changes are returned as commands, so that the work queue can execute them
together with the response.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient
from dialog_redis.work_queue.commands import RedisCommand
from long_term_memory import similarity
from long_term_memory.requests import FOUND_MAX

ID_CHARS: Final = 32


class MemoryStore:
    """Memories and profiles. Reads wait until Redis is available. `clock` returns Unix seconds."""

    def __init__(
        self,
        redis: RedisClient,
        *,
        memories: int,
        ttl_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis, self._memories, self._ttl_s, self._clock = redis, memories, ttl_s, clock

    def add_commands(
        self, user_id: str, content: str, metadata: dict[str, Any]
    ) -> tuple[dict[str, Any], list[RedisCommand]]:
        """Return the memory and the commands that store it.

        The same content with the same metadata replaces the older memory.
        """
        kept = json.dumps(
            {"content": content, "metadata": metadata}, ensure_ascii=False, sort_keys=True
        )
        at_ms, key = int(self._clock() * 1000), redis_names.user_memories(user_id)
        return _memory(kept, at_ms), [
            ("ZADD", key, str(at_ms), kept),
            ("ZREMRANGEBYRANK", key, "0", str(-self._memories - 1)),
            ("EXPIRE", key, str(self._ttl_s)),
        ]

    async def search(self, user_id: str, question: str, count: int) -> list[dict[str, Any]]:
        """Return the user's memories that match the question, best first, then newest first.

        Raises RedisUnavailable if the key has another type.
        """

        async def work(client: Redis) -> list[tuple[str, float]]:
            key = redis_names.user_memories(user_id)
            return cast(
                "list[tuple[str, float]]",
                await client.zrange(key, 0, -1, desc=True, withscores=True),
            )

        rows = await self._redis.call_until_available("ltm", work)
        # Comparing a thousand memories takes some hundred ms, which would block the event loop.
        return await asyncio.to_thread(_top_matches, rows, question, count)

    async def profile(self, user_id: str) -> dict[str, Any]:
        """Return the user's profile; empty for an unknown user.

        Raises RedisUnavailable if the key has another type.
        """

        async def work(client: Redis) -> dict[str, str]:
            return cast("dict[str, str]", await client.hgetall(redis_names.user_profile(user_id)))

        return {
            name: _value(raw)
            for name, raw in (await self._redis.call_until_available("ltm", work)).items()
        }

    def update_commands(self, user_id: str, updates: dict[str, Any]) -> list[RedisCommand]:
        """Return the commands that set fields of the profile; a field that is None is removed."""
        key, made = redis_names.user_profile(user_id), list[RedisCommand]()
        for name, value in updates.items():
            made.append(
                ("HDEL", key, name)
                if value is None
                else ("HSET", key, name, json.dumps(value, ensure_ascii=False))
            )
        return [*made, ("EXPIRE", key, str(self._ttl_s))] if made else []


def _top_matches(
    rows: Sequence[tuple[str, float]], question: str, count: int
) -> list[dict[str, Any]]:
    asked = similarity.features(question)
    memories = [_memory(kept, at_ms) for kept, at_ms in rows]
    scored = [(similarity.score(asked, memory["content"]), memory) for memory in memories]
    # The sort is stable, and the newest memories come first.
    found = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])[
        : min(count, FOUND_MAX)
    ]
    return [{**memory, "score": round(value, 3)} for value, memory in found]


def _memory(kept: str, at_ms: float) -> dict[str, Any]:
    name = hashlib.sha256(kept.encode("utf-8", "surrogatepass")).hexdigest()[:ID_CHARS]
    return {"id": name, **json.loads(kept), "timestamp": at_ms / 1000}


def _value(raw: str) -> Any:
    """Decode JSON; values of older services are plain text."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw
