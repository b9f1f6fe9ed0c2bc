"""The Redis operations of one consumer of a work queue.

Each operation is one command or one script, so that a message is in exactly one list at any time.
"""

from collections.abc import Sequence
from typing import Any, Final

from dialog_contracts import redis_names
from dialog_redis.client import connect_without_retries
from dialog_redis.work_queue import scripts
from dialog_redis.work_queue.commands import ADVANCE, SEND_RESPONSE, SUBMIT, RedisCommand

BLOCK_S: Final = 0.5
"""Seconds for which `fetch` waits for a message."""

_PARTS: Final = {SUBMIT: 6, ADVANCE: 4, SEND_RESPONSE: 6}


class QueueStore:
    """Operations on one queue. Messages are strings.

    Every method raises RedisError or OSError when Redis does not execute it.
    """

    def __init__(self, redis_url: str, name: str, consumer: str, *, lease_s: float) -> None:
        self._name, self._consumer, self._lease_ms = name, consumer, int(lease_s * 1000)
        # A message that is not UTF-8 goes to the dead letter list; it must be readable for that.
        readable = "surrogateescape"
        self._redis = connect_without_retries(
            redis_url, timeout_s=BLOCK_S + 2, connect_timeout_s=2, encoding_errors=readable
        )
        self._processing = redis_names.processing(name, consumer)
        self._attempts = redis_names.attempts(name)

    async def fetch(self) -> str | None:
        """Move the oldest message to the processing list and return it.

        None after half a second.
        """
        raw = await self._redis.blmove(self._name, self._processing, BLOCK_S, "RIGHT", "LEFT")  # type: ignore[arg-type]
        return None if raw is None else str(raw)

    async def attempts(self, raw: str) -> int:
        """Return how often the message was requeued after a consumer failed or died."""
        return int(await self._redis.hget(self._attempts, raw) or 0)

    async def held(self) -> list[str]:
        """Return the messages in the processing list, newest first."""
        return [str(raw) for raw in await self._redis.lrange(self._processing, 0, -1)]

    async def complete(self, raw: str, effects: Sequence[RedisCommand]) -> list[str] | None:
        """Remove a message from the processing list and execute `effects` in one step.

        Returns None when the message was reclaimed, else the errors of effects. Raises ValueError
        for what is not a RedisCommand.
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
        """Move messages back to the queue, oldest to be fetched first.

        Returns how many were still held.

        With `counts` each of them counts as an attempt.
        """
        if not messages:
            return 0
        keys = (self._name, self._processing, self._attempts)
        made: Any = await self._redis.eval(
            scripts.REQUEUE, 3, *keys, "1" if counts else "0", *messages
        )
        return int(made)

    async def renew(self) -> tuple[int, int]:
        """Renew the lease.

        Returns how many messages were reclaimed from consumers whose lease has expired, and how
        many messages wait.
        """
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
