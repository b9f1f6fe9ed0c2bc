"""Stores what was said in turns, from events of `events.ltm`, each event once.

A turn is one memory of its viewer: the user's text, with the reply in its metadata. An event with a
higher revision replaces it, in any order of arrival. The id of the event is stored in the same
script, so that an event that is delivered again changes nothing.

A turn of an unknown viewer belongs to its session alone, so that viewers do not share memories.
"""

import json
from typing import Final

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.outbox import EventType, LtmWrite, OutboxEvent, TurnInterruption
from dialog_redis.client import RedisClient
from long_term_memory.requests import CONTENT_CHARS

APPLIED_TTL_S: Final = 8 * 24 * 3600
"""Lifetime of the ids of applied events in seconds: longer than an outbox keeps delivered rows."""

# KEYS: id of the event, memories and turns of the user.
# ARGV: lifetime of the id, turn, revision, memory, its time in ms, number of memories kept, lifetime.
_APPLY: Final = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
local known = redis.call('HGET', KEYS[3], ARGV[2])
if known then
  local revision, memory = string.match(known, '^(%d+) (.*)$')
  if tonumber(revision) >= tonumber(ARGV[3]) then return 1 end
  redis.call('ZREM', KEYS[2], memory)
end
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6])
if excess > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], excess)
  for at = 1, #oldest, 2 do
    local turn = string.match(oldest[at], '"correlation_id": "([^"]+)"')
    if turn then redis.call('HDEL', KEYS[3], turn) end
  end
end
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[7])
return 1
"""


class EventStore:
    """Applies events. Raises RedisUnavailable."""

    def __init__(self, redis: RedisClient, *, memories: int, ttl_s: int) -> None:
        self._redis, self._memories, self._ttl_s = redis, memories, ttl_s

    async def apply(self, event: OutboxEvent) -> bool:
        """Apply an event; return whether it is new. Raises pydantic.ValidationError."""
        if event.type is EventType.TURN_INTERRUPTED:
            stopped = TurnInterruption.model_validate(event.payload)
            said, reply, revision = stopped.text, stopped.heard_text, stopped.revision
            viewer, interrupted, vectorize = stopped.viewer_id, True, stopped.vectorize
        elif event.type is EventType.LTM_WRITE_REQUESTED:
            written = LtmWrite.model_validate(event.payload)
            said, reply, revision = written.text, written.reply, written.revision
            viewer, interrupted, vectorize = (
                written.viewer_id,
                written.interrupted,
                written.vectorize,
            )
        else:
            # Other events concern other consumers.
            return False
        user = viewer or f"session:{event.session_id}"
        memory = json.dumps(
            {
                "content": said[:CONTENT_CHARS],
                "metadata": {
                    "source": "user",
                    "correlation_id": event.correlation_id,
                    "session_id": event.session_id,
                    "reply": reply[:CONTENT_CHARS],
                    "interrupted": interrupted,
                    "vectorize": vectorize,
                },
            },
            ensure_ascii=False,
        )
        keys = (
            redis_names.event_applied(event.event_id),
            redis_names.user_memories(user),
            redis_names.user_turns(user),
        )
        values = (
            str(APPLIED_TTL_S),
            event.correlation_id,
            str(revision),
            memory,
            str(event.ts * 1000),
            str(self._memories),
            str(self._ttl_s),
        )

        async def work(client: Redis) -> int:
            return int(await client.eval(_APPLY, len(keys), *keys, *values))

        return bool(await self._redis.call("ltm_event", work))
