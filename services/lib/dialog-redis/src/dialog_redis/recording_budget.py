"""Limits the bytes of recordings in Redis, per client and in total.

A recording counts from before it is stored until it expires, also while it is being transcribed.
Its entry has the same lifetime as the recording and is shortened together with it. So no
reservation has to be released, and a process that dies with a recording leaves no entry behind.
"""

from typing import Final

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient
from service_runtime.http.errors import TooMany

MAX_BYTES: Final = 128 * 1024 * 1024
"""Limit in total: a quarter of the memory of the Redis that we install."""

MAX_CLIENT_BYTES: Final = 48 * 1024 * 1024
"""Limit per client: three recordings of the largest size."""

ENTRIES: Final = 512
RETRY_AFTER_S: Final = 10.0

# KEYS: ends (sorted set of blob ids by Unix seconds), sizes (hash). ARGV: blob id, bytes, client,
# seconds to live, limits.
_RESERVE: Final = """
local now = tonumber(redis.call('TIME')[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[2], unpack(gone))
end
local size, total, own, entries = tonumber(ARGV[2]), 0, 0, 0
for _, entry in ipairs(redis.call('HVALS', KEYS[2])) do
  local bytes, client = string.match(entry, '^(%d+) (.*)$')
  total = total + tonumber(bytes)
  entries = entries + 1
  if client == ARGV[3] then own = own + tonumber(bytes) end
end
if own + size > tonumber(ARGV[6]) then return 'client' end
if total + size > tonumber(ARGV[5]) or entries >= tonumber(ARGV[7]) then return 'all' end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[4]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 'taken'
"""


class RecordingBudget:
    """Call `reserve` before a recording is stored."""

    def __init__(
        self,
        redis: RedisClient,
        *,
        in_all: int = MAX_BYTES,
        a_client: int = MAX_CLIENT_BYTES,
        within_s: float = 10.0,
    ) -> None:
        self._redis, self._max_bytes, self._max_client_bytes, self._within_s = (
            redis,
            in_all,
            a_client,
            within_s,
        )

    async def reserve(self, blob_id: str, size: int, client: str) -> None:
        """Reserve space for one recording. Raises TooMany (asr_busy) and RedisUnavailable."""
        keys = (redis_names.RECORDING_ENDS, redis_names.RECORDING_SIZES)
        values = (
            blob_id,
            size,
            client,
            redis_names.BLOB_TTL_S,
            self._max_bytes,
            self._max_client_bytes,
            ENTRIES,
        )

        async def work(client: Redis) -> str:
            return str(
                await client.eval(_RESERVE, len(keys), *keys, *(str(value) for value in values))
            )

        outcome = await self._redis.call_with_deadline(self._within_s, "asr", work)
        if outcome != "taken":
            whose, limit = (
                ("this client", self._max_client_bytes)
                if outcome == "client"
                else ("all clients", self._max_bytes)
            )
            raise TooMany(
                f"recordings of {whose} that are waiting or being heard have at most {limit} bytes; please send it again",
                code="asr_busy",
                limit=limit,
                retry_after_s=RETRY_AFTER_S,
            )
