"""What one consumer holds of a work list, in Redis. Each step is one command or one script: a message is in one place at every moment."""

from collections.abc import Sequence
from typing import Any, Final

from dialog_contracts import redis_names
from dialog_redis.client import connect_without_retries
from dialog_redis.work_queue import scripts
from dialog_redis.work_queue.commands import ADVANCE, SEND_RESPONSE, SUBMIT, RedisCommand

BLOCK_S: Final = 0.5
"""So long a fetch waits for a message."""

_PARTS: Final = {SUBMIT: 6, ADVANCE: 4, SEND_RESPONSE: 6}


class QueueStore:
    """Messages are strings. Every method raises RedisError or OSError when Redis does not do it."""

    def __init__(self, redis_url: str, name: str, consumer: str, *, lease_s: float) -> None:
        self._name, self._consumer, self._lease_ms = name, consumer, int(lease_s * 1000)
        # A message that is not UTF-8 is somebody's mistake and goes to the dead list; it must be readable for that.
        readable = "surrogateescape"
        self._redis = connect_without_retries(
            redis_url, timeout_s=BLOCK_S + 2, connect_timeout_s=2, encoding_errors=readable
        )
        self._processing = redis_names.processing(name, consumer)
        self._attempts = redis_names.attempts(name)

    async def fetch(self) -> str | None:
        """The oldest message, now held; None when there was none for half a second."""
        raw = await self._redis.blmove(self._name, self._processing, BLOCK_S, "RIGHT", "LEFT")  # type: ignore[arg-type]
        return None if raw is None else str(raw)

    async def attempts(self, raw: str) -> int:
        """How often it was taken back from a consumer that failed with it."""
        return int(await self._redis.hget(self._attempts, raw) or 0)

    async def held(self) -> list[str]:
        """What is held, newest first."""
        return [str(raw) for raw in await self._redis.lrange(self._processing, 0, -1)]

    async def complete(self, raw: str, effects: Sequence[RedisCommand]) -> list[str] | None:
        """Let go of a message with all that follows; None when it was taken away, else what went wrong with effects.

        Raises ValueError for what is no effect.
        """
        parts = [raw]
        for effect in effects:
            if len(effect) != _PARTS.get(effect[0], len(effect)) or not all(
                isinstance(part, str) for part in effect
            ):
                raise ValueError(f"not an effect: {effect!r:.200}")
            parts += [str(len(effect)), *effect]
        found, *errors = await self._redis.eval(
            scripts.COMPLETE, 2, self._processing, self._attempts, *parts
        )
        return [str(error) for error in errors] if found else None

    async def requeue(self, messages: Sequence[str], *, counts: bool) -> int:
        """To the list again, the oldest to be taken first; how many were still held. `counts`: as an attempt."""
        if not messages:
            return 0
        keys = (self._name, self._processing, self._attempts)
        made: Any = await self._redis.eval(
            scripts.REQUEUE, 3, *keys, "1" if counts else "0", *messages
        )
        return int(made)

    async def renew(self) -> tuple[int, int]:
        """Keep the lease; how many messages were taken back from consumers that did not keep theirs, and how many wait."""
        keys = (self._name, redis_names.consumers(self._name), self._attempts)
        prefix = redis_names.processing(self._name, "")
        back, waiting = await self._redis.eval(
            scripts.RENEW, 3, *keys, self._consumer, str(self._lease_ms), prefix
        )
        return int(back), int(waiting)

    async def release(self) -> None:
        """End the lease."""
        await self._redis.zrem(redis_names.consumers(self._name), self._consumer)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
