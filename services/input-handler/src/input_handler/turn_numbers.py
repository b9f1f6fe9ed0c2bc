"""Numbers of turns: one counter a session in Redis; without Redis, the last number seen here plus one."""

from collections import OrderedDict
from typing import Final

from redis.asyncio import Redis

from dialog_contracts import redis_names
from service_runtime.redis_link import RedisDown, RedisLink

SESSIONS_REMEMBERED: Final = 10_000

# A message sent again keeps the number it was given, so that the engine recognises it.
_TAKE: Final = """
if KEYS[2] then
  local known = redis.call('GET', KEYS[2])
  if known then return tonumber(known) end
end
local turn = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
if KEYS[2] then redis.call('SET', KEYS[2], turn, 'EX', ARGV[2]) end
return turn
"""
_SKIP: Final = """
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, tonumber(ARGV[3]))
redis.call('SET', KEYS[1], turn, 'EX', ARGV[1])
if KEYS[2] then redis.call('SET', KEYS[2], turn, 'EX', ARGV[2]) end
return turn
"""


class TurnNumbers:
    """Every number is only a proposal: the engine has the last word (409 turn_taken), so a lost counter does no harm."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis
        self._last: OrderedDict[str, int] = OrderedDict()

    async def take(self, session_id: str, request_id: str | None) -> int:
        """The next number, or the one this message already has."""
        return await self._number(_TAKE, session_id, request_id, 1)

    async def skip_to(self, session_id: str, request_id: str | None, next_turn: int) -> int:
        """A number that is free according to the engine."""
        return await self._number(_SKIP, session_id, request_id, next_turn, next_turn)

    async def _number(self, script: str, session_id: str, request_id: str | None, without_redis: int, *args: int) -> int:
        keys = [redis_names.turn_counter(session_id)]
        if request_id is not None:
            keys.append(redis_names.turn_of_request(session_id, request_id))
        values = [redis_names.SESSION_TTL_S, redis_names.REPLY_CLAIM_TTL_S, *args]

        async def work(client: Redis) -> int:
            return int(await client.eval(script, len(keys), *keys, *(str(value) for value in values)))

        try:
            turn = await self._redis.call("turn_number", work)
        except RedisDown:
            # Read after the wait: of two messages at once each gets a number of its own.
            turn = max(without_redis, self._last.get(session_id, 0) + 1)
        self._last[session_id] = max(turn, self._last.get(session_id, 0))
        self._last.move_to_end(session_id)
        while len(self._last) > SESSIONS_REMEMBERED:
            self._last.popitem(last=False)
        return turn
