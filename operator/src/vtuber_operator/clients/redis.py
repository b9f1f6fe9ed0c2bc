"""Client of Redis with short deadlines and without retries, since its callers run in loops."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from vtuber_operator import metrics
from vtuber_operator.errors import RedisUnavailable

T = TypeVar("T")
log = structlog.get_logger("redis")


class RedisClient:
    """Calls with one deadline; it remembers since when Redis has not answered."""

    def __init__(
        self, url: str, timeout_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            # Invalid UTF-8 must be readable, so that it can be reported as invalid like any other
            # content.
            encoding_errors="replace",
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._clock = clock
        self._unavailable: tuple[float, str] | None = None
        self.answered = False

    async def call(self, purpose: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Return the result of `work`; raises RedisUnavailable. `purpose` is a metric label."""
        try:
            result = await work(self.client)
        except (RedisError, OSError, TimeoutError) as error:
            self.failed(purpose, error)
            raise RedisUnavailable(f"{purpose}: {type(error).__name__}") from error
        if self._unavailable is not None:
            log.info("redis_available", away_s=round(self._clock() - self._unavailable[0], 1))
        self._unavailable = None
        self.answered = True
        metrics.REDIS_UP.set(1)
        return result

    def failed(self, purpose: str, error: Exception) -> None:
        """Count a failed call; the first of several failures is logged."""
        metrics.REDIS_FAILURES.labels(purpose=purpose).inc()
        metrics.REDIS_UP.set(0)
        if self._unavailable is None:
            log.warning("redis_unavailable", purpose=purpose, reason=type(error).__name__)
            self._unavailable = (self._clock(), type(error).__name__)

    def unavailable_reason(self, for_s: float = 0.0) -> str | None:
        """Return why Redis has not answered for at least `for_s` seconds, or None."""
        if self._unavailable is None or self._clock() - self._unavailable[0] < for_s:
            return None
        return self._unavailable[1]

    @property
    def is_known(self) -> bool:
        """Whether Redis has answered or failed once."""
        return self.answered or self._unavailable is not None

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self.client.aclose()
