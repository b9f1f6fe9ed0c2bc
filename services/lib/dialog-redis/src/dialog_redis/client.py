"""The connection to Redis or Valkey: short deadlines, typed errors, and a memory of being down so that a turn does not wait twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dialog_telemetry import metrics

T = TypeVar("T")
log = structlog.get_logger("redis")


def connect_without_retries(
    url: str, *, timeout_s: float, connect_timeout_s: float, encoding_errors: str = "strict"
) -> Redis:
    """A client that repeats nothing by itself: for lists and channels, where a call that is made again behind our back does harm."""
    return Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors=encoding_errors,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


REFUSED_COOLDOWN_S: Final = 1.0
"""How long a Redis that refuses connections is asked again, by those who have time: it may be starting anew."""

BLOCKING_TIMEOUT_S: Final = 2.0
RETRY_PAUSE_S: Final = 0.05
MAX_RETRY_PAUSE_S: Final = 0.5


def _without_timeout(url: str) -> Redis:
    return connect_without_retries(
        url, timeout_s=BLOCKING_TIMEOUT_S, connect_timeout_s=BLOCKING_TIMEOUT_S
    )


class RedisUnavailable(Exception):
    """Redis did not answer within its deadline, or answered with an error; `purpose` says what for."""

    def __init__(self, purpose: str, why: str) -> None:
        super().__init__(f"Redis is not available for {purpose}: {why}")
        self.purpose = purpose

    @property
    def full(self) -> bool:
        """Redis is well, and has no memory left."""
        return isinstance(self.__cause__, OutOfMemoryError)

    @property
    def why(self) -> str:
        """For whoever asked for something: a part of a sentence."""
        return "Redis has no memory left" if self.full else "Redis does not answer"

    @property
    def wrong_type(self) -> bool:
        """Redis is well; the key is of another type than was asked for."""
        return "WRONGTYPE" in str(self.__cause__)


class RedisClient:
    """Calls into Redis. After a failed connection, calls fail at once for `rest_s`, then one is let through to look."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 0.25,
        cooldown_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._blocking_client = _without_timeout(url)
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._down_until = 0.0
        self._why: str | None = None

    @property
    def unavailable_reason(self) -> str | None:
        """Why the last call failed, or None when it did not."""
        return self._why

    async def call(self, purpose: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """The result of `work`; raises RedisDown. `purpose` is a metric label: a few fixed words."""
        if self._clock() < self._down_until:
            metrics.REDIS_FAILURES.labels(purpose=purpose).inc()
            raise RedisUnavailable(purpose, self._why or "resting after a failure")
        return await self._call(purpose, work)

    async def _call(self, purpose: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            result = await work(self.client)
        except (RedisError, OSError) as error:
            if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
                self._down_until = self._clock() + self._cooldown_s
            if self._why is None:
                log.warning("redis_unavailable", purpose=purpose, reason=repr(error)[:200])
            self._why = type(error).__name__
            metrics.REDIS_FAILURES.labels(purpose=purpose).inc()
            if isinstance(error, RedisTimeoutError | TimeoutError):
                metrics.DEADLINES_MISSED.labels(deadline=f"redis_{purpose}").inc()
            raise RedisUnavailable(purpose, type(error).__name__) from error
        self._down_until = 0.0
        if self._why is not None:
            log.info("redis_available", purpose=purpose)
            self._why = None
        return result

    async def call_within(
        self, purpose: str, work: Callable[[Redis], Awaitable[T]], within_s: float
    ) -> T:
        """The same for a caller with less time than the link's own deadlines, and who needs to know: asked also after a failure.

        Late is not down: others still have the time to wait.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._call(purpose, work)
        except TimeoutError as error:
            metrics.REDIS_FAILURES.labels(purpose=purpose).inc()
            raise RedisUnavailable(purpose, f"no answer within {within_s} s") from error

    async def call_with_deadline(
        self, seconds: float, purpose: str, work: Callable[[Redis], Awaitable[T]]
    ) -> T:
        """The result of `work` for a caller with time, where the alternative is that something a person said is lost.

        A Redis that is late, as on a machine that is too busy, is asked again until the seconds are over; one that refuses connections, or
        says no, only for `REFUSED_S`. `work` may be carried out more than once. Raises RedisDown.
        """
        began, pause = self._clock(), RETRY_PAUSE_S
        while True:
            left = seconds - (self._clock() - began)
            try:
                async with asyncio.timeout(max(left, 0)):
                    result = await work(self._blocking_client)
            except (RedisError, OSError) as error:
                late = isinstance(error, RedisTimeoutError | TimeoutError)
                metrics.REDIS_FAILURES.labels(purpose=purpose).inc()
                if late:
                    metrics.DEADLINES_MISSED.labels(deadline=f"redis_{purpose}_patient").inc()
                passed = self._clock() - began
                refused = isinstance(error, RedisError) and not isinstance(
                    error, RedisConnectionError | RedisTimeoutError
                )
                if refused or passed + pause > (
                    seconds if late else min(seconds, REFUSED_COOLDOWN_S)
                ):
                    raise RedisUnavailable(purpose, type(error).__name__) from error
                log.info(
                    "redis_asked_again",
                    purpose=purpose,
                    reason=type(error).__name__,
                    after_s=round(passed, 2),
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_RETRY_PAUSE_S)
                continue
            return result

    async def call_until_available(self, purpose: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """The result of `work`, tried until Redis is there: for work that waits for nobody and must not be lost.

        Raises RedisDown where no waiting helps: a key is of another type than `work` takes it for.
        """
        while True:
            try:
                return await self.call(purpose, work)
            except RedisUnavailable as down:
                if down.wrong_type:
                    raise
                await asyncio.sleep(self._cooldown_s / 2)

    async def aclose(self) -> None:
        """Close the pools."""
        await self.client.aclose()
        await self._blocking_client.aclose()
