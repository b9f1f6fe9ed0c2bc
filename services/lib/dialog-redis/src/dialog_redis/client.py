"""Client of Redis or Valkey with deadlines and one typed error.

A Redis that hangs must not delay a turn at every call. RedisClient therefore uses short socket
timeouts and remembers a failure: for a cooldown, calls fail at once instead of waiting for the same
timeout again. After it the next call tries Redis again.

Callers differ in how long they can wait and what a failure costs, hence four methods:

- `call`: short timeout, and fails at once during the cooldown.
- `call_within`: a deadline of the caller, and always tries.
- `call_with_deadline`: retries until a deadline, for data that a user would lose.
- `call_until_available`: retries without limit, for work that must not be lost.

All of them raise RedisUnavailable. `connect_without_retries` is for code that manages its own
connection, such as the work queue and subscriptions.
"""

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
    url: str,
    *,
    timeout_s: float,
    connect_timeout_s: float,
    encoding_errors: str = "strict",
    decode_responses: bool = True,
) -> Redis:
    """Return a client that never repeats a command by itself.

    For lists and channels, where a command that is silently repeated does harm.
    """
    return Redis.from_url(
        url,
        decode_responses=decode_responses,
        encoding_errors=encoding_errors,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


REFUSED_COOLDOWN_S: Final = 1.0
"""Seconds for which `call_with_deadline` retries a Redis that refuses connections.

It may be restarting.
"""

BLOCKING_TIMEOUT_S: Final = 2.0
RETRY_PAUSE_S: Final = 0.05
MAX_RETRY_PAUSE_S: Final = 0.5


def _without_timeout(url: str) -> Redis:
    return connect_without_retries(
        url, timeout_s=BLOCKING_TIMEOUT_S, connect_timeout_s=BLOCKING_TIMEOUT_S
    )


class RedisUnavailable(Exception):
    """Redis did not answer within the deadline, or answered with an error.

    `purpose` says what the call was for.
    """

    def __init__(self, purpose: str, why: str) -> None:
        super().__init__(f"Redis is not available for {purpose}: {why}")
        self.purpose = purpose

    @property
    def full(self) -> bool:
        """Whether Redis works but has no memory left."""
        return isinstance(self.__cause__, OutOfMemoryError)

    @property
    def why(self) -> str:
        """The reason as a part of a sentence, for the caller's own error message."""
        return "Redis has no memory left" if self.full else "Redis does not answer"

    @property
    def wrong_type(self) -> bool:
        """Whether Redis works but the key has another type than the command expects."""
        return "WRONGTYPE" in str(self.__cause__)


class RedisClient:
    """Calls to Redis.

    After a failed connection or a timeout, `call` fails at once for `cooldown_s` seconds. With
    `retry` a command is repeated once over a new connection. `encoding_errors` is that of
    `bytes.decode`.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 0.25,
        cooldown_s: float = 1.0,
        retry: bool = True,
        encoding_errors: str = "strict",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors=encoding_errors,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1 if retry else 0),
        )
        self._blocking_client = _without_timeout(url)
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._down_until = 0.0
        self._why: str | None = None
        self._failing_since = 0.0
        self._answered = False

    @property
    def unavailable_reason(self) -> str | None:
        """Why the last call failed, or None when it succeeded."""
        return self._why

    def unavailable_for(self, seconds: float) -> str | None:
        """Return why Redis has not answered for at least `seconds`, or None."""
        if self._why is None or self._clock() - self._failing_since < seconds:
            return None
        return self._why

    @property
    def is_known(self) -> bool:
        """Whether Redis has answered or failed once."""
        return self._answered or self._why is not None

    async def call(self, purpose: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Return the result of `work`; raises RedisUnavailable.

        `purpose` is a metric label with a few fixed values.
        """
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
            self.note_failure(purpose, error)
            if isinstance(error, RedisTimeoutError | TimeoutError):
                metrics.DEADLINES_MISSED.labels(deadline=f"redis_{purpose}").inc()
            raise RedisUnavailable(purpose, type(error).__name__) from error
        self._down_until, self._answered = 0.0, True
        if self._why is not None:
            away_s = round(self._clock() - self._failing_since, 1)
            log.info("redis_available", purpose=purpose, away_s=away_s)
            self._why = None
        return result

    def note_failure(self, purpose: str, error: Exception) -> None:
        """Count a failure; the first of several is logged. Also for a caller's own connection."""
        if self._why is None:
            self._failing_since = self._clock()
            log.warning("redis_unavailable", purpose=purpose, reason=repr(error)[:200])
        self._why = type(error).__name__
        metrics.REDIS_FAILURES.labels(purpose=purpose).inc()

    async def call_within(
        self, purpose: str, work: Callable[[Redis], Awaitable[T]], within_s: float
    ) -> T:
        """Return the result of `work` within `within_s` seconds; raises RedisUnavailable.

        For a caller with less time than the socket timeout that needs the result: it also tries
        during the cooldown. Exceeding `within_s` starts no cooldown, because other callers can wait
        longer.
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
        """Return the result of `work`, retrying for `seconds`; raises RedisUnavailable.

        For callers that have time, where a failure would lose a user's message. A late answer, as
        on an overloaded machine, is retried until `seconds` are over, and a refused connection for
        `REFUSED_COOLDOWN_S`. Another error of Redis is raised at once. `work` may run more than
        once.
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
        """Return the result of `work`, retrying until Redis is available.

        For work that has no deadline and must not be lost. Raises RedisUnavailable only where
        waiting does not help: the key has another type than `work` expects.
        """
        while True:
            try:
                return await self.call(purpose, work)
            except RedisUnavailable as down:
                if down.wrong_type:
                    raise
                await asyncio.sleep(self._cooldown_s / 2)

    async def aclose(self) -> None:
        """Close the connection pools."""
        await self.client.aclose()
        await self._blocking_client.aclose()
