"""What every output-handler has to know of a session, whoever of them has its viewers.

STOP of a reply that a voice file speaks: each plays the file to its own viewers, so whoever hears of a STOP tells all. And that somebody
speaks into a microphone.
"""

import asyncio
from collections.abc import Callable
from functools import partial
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
    """`start` within a running loop; `aclose` at the end.

    The legacy chain needs Redis itself: while Redis is away no file comes, and a STOP reaches the viewers of this process alone, counted.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._link, self._tasks = RedisClient(redis_url), BackgroundTasks()
        self._calling = asyncio.Lock()

    def start(
        self, on_stop: Callable[[Stop], None], on_user_speaking: Callable[[UserSpeaking], None]
    ) -> None:
        """Subscribe in the background. `on_stop` gets every STOP, also those published here."""
        listen = partial(self._listen, on_stop, on_user_speaking)
        self._tasks.run_forever("notices", listen, pause_s=0.2, pause_max_s=2.0)

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

    async def _listen(
        self, on_stop: Callable[[Stop], None], on_user_speaking: Callable[[UserSpeaking], None]
    ) -> None:
        try:
            async with self._redis.pubsub() as channel:
                async with self._calling:
                    await channel.subscribe(redis_names.PLAYBACK_STOPS, redis_names.USER_SPEAKING)
                while True:
                    message = await channel.get_message(
                        ignore_subscribe_messages=True, timeout=PING_INTERVAL_S
                    )
                    if message is None:
                        continue
                    channel_name, data = str(message["channel"]), str(message["data"])
                    try:
                        if channel_name == redis_names.PLAYBACK_STOPS:
                            on_stop(Stop.from_json(data))
                        else:
                            on_user_speaking(UserSpeaking.from_json(data))
                    except ValidationError as error:
                        metrics.REQUESTS_REJECTED.labels(code="bad_notice").inc()
                        why = str(error)[:200]
                        log.warning("bad_broadcast", channel=channel_name, error=why)
        except (RedisError, OSError) as error:
            # Said once by the link, which fails with it; this side only begins anew.
            metrics.REDIS_FAILURES.labels(purpose="notices").inc()
            log.debug("subscription_failed", reason=repr(error)[:200])
