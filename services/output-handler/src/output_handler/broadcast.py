"""What every output-handler has to know of a session, whoever of them has its viewers.

STOP of a reply that a voice file speaks: each plays the file to its own viewers, so whoever hears of a STOP tells all. And that somebody
speaks into a microphone.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dialog_contracts import redis_names
from dialog_contracts.ingest import Stop
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisClient, RedisUnavailable, connect_without_retries
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("broadcast")

PING_INTERVAL_S: Final = 5.0
TIMEOUT_S: Final = 2.0


class SessionBroadcast:
    """`start` within a running loop; `stopped` is called with every STOP that is told, one's own included; `aclose` at the end.

    The legacy chain needs Redis itself: while Redis is away no file comes, and a STOP reaches the viewers of this process alone, counted.
    """

    def __init__(
        self,
        redis_url: str,
        stopped: Callable[[Stop], None],
        on_user_speaking: Callable[[UserSpeaking], None],
    ) -> None:
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._link, self._tasks = RedisClient(redis_url), BackgroundTasks()
        self._on_stop, self._on_user_speaking = stopped, on_user_speaking
        self._calling = asyncio.Lock()

    def start(self) -> None:
        """Begin to listen, in the background."""
        self._tasks.run_forever("notices", self._listen, pause_s=0.2, pause_max_s=2.0)

    async def aclose(self) -> None:
        """Nobody is told any more."""
        # Not in the middle of a call: the client loses a connection whose caller is cancelled while it is handed back to the pool.
        async with self._calling:
            await self._tasks.close()
        await self._redis.aclose()
        await self._link.aclose()

    def publish_stop(self, stop: Stop) -> None:
        """Let every output-handler silence its copy. Does not wait."""
        self._tasks.start("tell_file_stop", self._publish(stop.to_json()))

    async def _publish(self, frame: str) -> None:
        async def work(client: Redis) -> None:
            await client.publish(redis_names.PLAYBACK_STOPS, frame)

        try:
            await self._link.call("file_stops", work)
        except RedisUnavailable as error:
            log.warning("stop_not_published", reason=str(error))

    async def _listen(self) -> None:
        try:
            async with self._redis.pubsub() as channel:
                async with self._calling:
                    await channel.subscribe(redis_names.PLAYBACK_STOPS, redis_names.USER_SPEAKING)
                while True:
                    message = await channel.get_message(
                        ignore_subscribe_messages=True, timeout=PING_INTERVAL_S
                    )
                    if message is not None:
                        self._on_message(str(message["channel"]), str(message["data"]))
        except (RedisError, OSError) as error:
            # Said once by the link, which fails with it; this side only begins anew.
            metrics.REDIS_FAILURES.labels(purpose="notices").inc()
            log.debug("subscription_failed", reason=repr(error)[:200])

    def _on_message(self, channel: str, data: str) -> None:
        try:
            if channel == redis_names.PLAYBACK_STOPS:
                self._on_stop(Stop.from_json(data))
            else:
                self._on_user_speaking(UserSpeaking.from_json(data))
        except ValidationError as error:
            metrics.REQUESTS_REJECTED.labels(code="bad_notice").inc()
            log.warning("bad_broadcast", channel=channel, error=str(error)[:200])
