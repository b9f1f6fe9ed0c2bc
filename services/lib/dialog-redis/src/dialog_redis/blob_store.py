"""Blobs in Redis: recordings and voice files that services pass to each other by id."""

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dialog_contracts import redis_names
from dialog_redis.client import RedisUnavailable
from dialog_telemetry import metrics
from service_runtime.http.errors import TooLarge

T = TypeVar("T")
log = structlog.get_logger("blobs")

TIMEOUT_S: Final = 2.0
PURPOSE: Final = "blob"

_ID: Final = re.compile(r"[0-9a-f]{32}")


class BlobTooLarge(TooLarge):
    """More bytes than `redis_names.BLOB_BYTES`."""

    default_code = "blob_too_large"


class BlobStore:
    """Stores and returns blobs, which expire after `BLOB_TTL_S`.

    Every call raises RedisUnavailable when Redis does not answer: the socket timeout is 2 s, and a
    call is repeated once. `get` and `release` raise ValueError for an id that is not 32 hex digits.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url,
            decode_responses=False,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        )
        self._unavailable = False

    @staticmethod
    def new_id() -> str:
        """Return an id for `put`, where it must be known before the blob is stored."""
        return uuid.uuid4().hex

    async def put(self, data: bytes, blob_id: str | None = None) -> str:
        """Store bytes for `BLOB_TTL_S` seconds and return their id. Raises BlobTooLarge."""
        if len(data) > redis_names.BLOB_BYTES:
            limit = redis_names.BLOB_BYTES
            raise BlobTooLarge(
                f"a blob of {len(data)} bytes is larger than the limit of {limit}", limit=limit
            )
        name = blob_id or self.new_id()

        async def work() -> None:
            await self._redis.set(redis_names.blob(name), data, ex=redis_names.BLOB_TTL_S)

        await self._call(work)
        return name

    async def get(self, blob_id: str) -> bytes | None:
        """Return the bytes, or None after they have expired."""
        key = _key(blob_id)

        async def work() -> bytes | None:
            return cast("bytes | None", await self._redis.get(key))

        return await self._call(work)

    async def release(self, blob_id: str) -> None:
        """Shorten the lifetime of a used blob to at most `RELEASED_BLOB_TTL_S` seconds."""
        key = _key(blob_id)

        async def work() -> None:
            await self._redis.expire(key, redis_names.RELEASED_BLOB_TTL_S, lt=True)

        await self._call(work)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await work()
        except (RedisError, OSError) as error:
            metrics.REDIS_FAILURES.labels(purpose=PURPOSE).inc()
            if not self._unavailable:
                log.warning("redis_down", purpose=PURPOSE, reason=repr(error)[:200])
            self._unavailable = True
            raise RedisUnavailable(PURPOSE, type(error).__name__) from error
        self._unavailable = False
        return result


def _key(blob_id: str) -> str:
    if _ID.fullmatch(blob_id) is None:
        raise ValueError(f"a blob's id is 32 hex digits, not {blob_id[:40]!r}")
    return redis_names.blob(blob_id)
