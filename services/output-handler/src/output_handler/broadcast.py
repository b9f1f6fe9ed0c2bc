"""What every output-handler must know of a session, wherever its viewers are connected.

Each output-handler plays the audio file of a legacy response to its own viewers, so a STOP that one
of them receives is published to all. input-handler publishes that a user speaks into a microphone.
"""

from collections.abc import Callable
from typing import Final

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.ingest import Stop
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisClient, RedisUnavailable, connect_without_retries
from dialog_redis.subscriber import Announcement, Subscriber
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("broadcast")

PING_INTERVAL_S: Final = 5.0
TIMEOUT_S: Final = 2.0


class SessionBroadcast:
    """Create it within a running loop, then `start` and `aclose` it.

    While Redis is not available a STOP reaches the viewers of this process alone, which is counted;
    the legacy pipeline needs Redis itself, so no file comes meanwhile.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._client, self._tasks = RedisClient(redis_url), BackgroundTasks()
        self._subscriber: Subscriber | None = None

    def start(
        self, on_stop: Callable[[Stop], None], on_user_speaking: Callable[[UserSpeaking], None]
    ) -> None:
        """Subscribe in the background. `on_stop` gets every STOP, also those published here."""

        async def deliver(announcements: list[Announcement]) -> None:
            for said in announcements:
                try:
                    if said.channel == redis_names.PLAYBACK_STOPS:
                        on_stop(Stop.from_json(said.data))
                    else:
                        on_user_speaking(UserSpeaking.from_json(said.data))
                except ValidationError as error:
                    metrics.REQUESTS_REJECTED.labels(code="bad_notice").inc()
                    log.warning("bad_broadcast", channel=said.channel, error=str(error)[:200])

        self._subscriber = Subscriber(
            self._redis,
            "notices",
            [redis_names.PLAYBACK_STOPS, redis_names.USER_SPEAKING],
            interval_s=PING_INTERVAL_S,
            on_announcements=deliver,
            on_subscribed=_nothing_to_read,
        )
        self._subscriber.start()

    async def aclose(self) -> None:
        """Stop following and publishing."""
        if self._subscriber is not None:
            await self._subscriber.aclose()
        await self._tasks.close()
        await self._redis.aclose()
        await self._client.aclose()

    def publish_stop(self, stop: Stop) -> None:
        """Let every output-handler stop its copy of the file. Does not wait."""
        self._tasks.start("tell_file_stop", self._publish(stop.to_json()))

    async def _publish(self, frame: str) -> None:
        async def work(client: Redis) -> None:
            await client.publish(redis_names.PLAYBACK_STOPS, frame)

        try:
            await self._client.call("file_stops", work)
        except RedisUnavailable as error:
            log.warning("stop_not_published", reason=str(error))


async def _nothing_to_read() -> None:
    """A STOP from before the connection concerns a turn that is over."""
