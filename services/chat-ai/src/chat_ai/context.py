"""What chat-ai reads before it generates a reply: recent turns, and whether a response exists."""

import asyncio
from typing import Final

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.session_history import SessionHistory

log = structlog.get_logger("turn_context")

RETRY_PAUSE_S: Final = 0.5


class TurnContext:
    """Reads from Redis; every method waits until Redis is available.

    A late reply is better than one without the history of the session.
    """

    def __init__(self, redis: RedisClient, context_turns: int) -> None:
        self._redis, self._history, self._context_turns = (
            redis,
            SessionHistory(redis),
            context_turns,
        )

    async def turns(self, session_id: str) -> list[TurnRecord]:
        """Return the turns for the prompt, oldest first."""
        while True:
            try:
                return await self._history.prompt_turns(session_id, self._context_turns)
            except RedisUnavailable as down:
                if down.wrong_type:
                    await self._without(session_id)
                else:
                    await asyncio.sleep(RETRY_PAUSE_S)

    async def answered(self, task_id: str, message_id: str) -> bool:
        """Whether a response to this message is stored."""

        async def work(client: Redis) -> bool:
            return bool(await client.hexists(redis_names.responses(task_id), message_id))

        return await self._redis.call_until_available("answers", work)

    async def _without(self, session_id: str) -> None:
        """Delete a history in the list format of versions before 0.2.

        The engine's database still has its turns.
        """
        log.warning("history_of_another_type", session=session_id)

        async def work(client: Redis) -> None:
            await client.delete(redis_names.history(session_id))

        await self._redis.call_until_available("history", work)
