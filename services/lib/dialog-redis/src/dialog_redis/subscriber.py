"""Follows channels of Redis over one connection that must be seen to break.

A subscription misses what is announced while its connection is down, so a client that restored it
silently would lose messages. `Subscriber` therefore never retries: after each (re)connection it calls
`on_subscribed`, which reads the present state, and only then passes messages on. A failure ends the
run and is counted; the first of several is logged. The next run starts after a pause.

LegacyResponses does not use it, because its channels change while it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from dialog_redis.client import RedisUnavailable
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("redis")

MAX_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message of a channel; `data` is bytes where the client does not decode."""

    channel: str
    data: str | bytes


class Subscriber:
    """`redis` must not retry (`connect_without_retries`). `purpose` is a metric label.

    `on_subscribed` is awaited after each connection. `on_announcements` gets what came, at most
    `MAX_BATCH` at once, and an empty list after `interval_s` seconds without an announcement. Both
    may raise RedisError, OSError or RedisUnavailable, which end the connection. `on_failed` gets
    each of these errors.
    """

    def __init__(
        self,
        redis: Redis,
        purpose: str,
        channels: Sequence[str],
        *,
        interval_s: float,
        on_announcements: Callable[[list[Announcement]], Awaitable[None]],
        on_subscribed: Callable[[], Awaitable[None]],
        on_failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._redis, self._purpose, self._channels = redis, purpose, channels
        self._interval_s = interval_s
        self._on_announcements, self._on_subscribed = on_announcements, on_subscribed
        self._on_failed = on_failed
        self._tasks = BackgroundTasks()
        # Held during calls: redis-py loses a connection when its caller is cancelled while the
        # connection returns to the pool.
        self._calling = asyncio.Lock()
        self._failed = False

    def start(self) -> None:
        """Follow the channels in the background."""
        self._tasks.run_forever(self._purpose, self.follow, pause_s=0.2, pause_max_s=2.0)

    async def aclose(self) -> None:
        """Stop following; the client stays open."""
        async with self._calling:
            await self._tasks.close()

    async def follow(self) -> None:
        """Follow the channels until the connection fails."""
        try:
            async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                # Subscribed before the state is read, so that no change is missed between the two.
                async with self._calling:
                    await channel.subscribe(*self._channels)
                    await self._on_subscribed()
                self._log_restored()
                while True:
                    batch = await self._batch(channel)
                    async with self._calling:
                        await self._on_announcements(batch)
        except (RedisError, OSError, RedisUnavailable) as error:
            metrics.REDIS_FAILURES.labels(purpose=self._purpose).inc()
            if not self._failed:
                self._failed = True
                log.warning("subscription_failed", purpose=self._purpose, reason=repr(error)[:200])
            self._on_failed(error)

    def _log_restored(self) -> None:
        if self._failed:
            self._failed = False
            log.info("subscription_restored", purpose=self._purpose)

    async def _batch(self, channel: PubSub) -> list[Announcement]:
        found: list[Announcement] = []
        message = await channel.get_message(timeout=self._interval_s)
        while message is not None:
            name, data = message["channel"], message["data"]
            found.append(Announcement(name if isinstance(name, str) else name.decode(), data))
            if len(found) >= MAX_BATCH:
                break
            message = await channel.get_message(timeout=0)
        return found
