"""Tells every output-handler that somebody speaks in a session, so that all its viewers see the character listen."""

import asyncio

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisClient, RedisUnavailable
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("user_speaking")


class UserSpeakingNotifier:
    """`tell` does not wait: nobody is heard later because of it, and without Redis she only looks less attentive."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._tasks = redis, BackgroundTasks()
        # One after the other: what is told last must arrive last.
        self._publishing = asyncio.Lock()

    def notify(self, session_id: str, microphone: str, *, speaking: bool) -> None:
        """Somebody speaks into this microphone, or has finished."""
        notice = UserSpeaking(
            session_id=session_id, microphone=microphone, speaking=speaking
        ).to_json()
        self._tasks.start("spoken_to", self._publish(notice))

    async def aclose(self) -> None:
        """Nobody is told any more."""
        # Not in the middle of a call: the client loses a connection whose caller is cancelled while it is handed back to the pool.
        async with self._publishing:
            await self._tasks.close()

    async def _publish(self, notice: str) -> None:
        async def work(client: Redis) -> None:
            await client.publish(redis_names.USER_SPEAKING, notice)

        async with self._publishing:
            try:
                await self._redis.call("spoken_to", work)
            except RedisUnavailable as error:
                log.info("notice_not_published", reason=str(error))
