"""Publishes that a user speaks in a session, so that all its viewers see the phase LISTENING."""

import asyncio

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisClient, RedisUnavailable
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("user_speaking")


class UserSpeakingNotifier:
    """`notify` does not wait. Without Redis the phase is not shown; nothing else depends on it."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._tasks = redis, BackgroundTasks()
        # Notices are published one after the other, in order.
        self._publishing = asyncio.Lock()

    def notify(self, session_id: str, microphone: str, *, speaking: bool) -> None:
        """Publish that a user starts or stops speaking into this microphone."""
        notice = UserSpeaking(
            session_id=session_id, microphone=microphone, speaking=speaking
        ).to_json()
        self._tasks.start("spoken_to", self._publish(notice))

    async def aclose(self) -> None:
        """Stop publishing."""
        # Not in the middle of a call: redis-py loses a connection whose caller is cancelled while
        # it returns to the pool.
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
