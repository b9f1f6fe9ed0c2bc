"""Numbers of turns.

Each session has a counter in Redis. Without Redis the number is the last one seen here plus one. A
number is a proposal: the engine refuses one that is taken (409 `turn_taken`) and names the next free
one, so a lost counter does no harm.
"""

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from redis.asyncio import Redis

from dialog_contracts import limits, redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_redis.client import RedisClient, RedisUnavailable
from input_handler.errors import NoNumbersLeft

MAX_REMEMBERED_SESSIONS: Final = 10_000

LEGACY_POLL_INTERVAL_S: Final = 0.05
LEGACY_SLOW_S: Final = 15.0
"""Seconds after which a turn in the legacy pipeline holds up no other; most take three to ten."""

# A repeated message keeps its number, so that the engine recognises it.
_ALLOCATE: Final = """
local pending = redis.call('LLEN', KEYS[2])
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return {tonumber(known), pending, 1} end
end
-- Numbers that were given while Redis was late are not in its counter.
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[1], turn, 'EX', ARGV[1])
if KEYS[3] then redis.call('SET', KEYS[3], turn, 'EX', ARGV[2]) end
return {turn, pending, 0}
"""
_ADVANCE: Final = """
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, tonumber(ARGV[3]))
redis.call('SET', KEYS[1], turn, 'EX', ARGV[1])
if KEYS[3] then redis.call('SET', KEYS[3], turn, 'EX', ARGV[2]) end
return {turn, redis.call('LLEN', KEYS[2]), 0}
"""


# A number from outside that is in reach is the counter's too: the next message gets one after it.
_RESERVE: Final = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local turn = tonumber(ARGV[2])
if turn > last and turn <= last + tonumber(ARGV[3]) then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1]) end
return last
"""


@dataclass(frozen=True, slots=True)
class TurnNumber:
    """A turn's number.

    `legacy_pending`: how many turns of the session are in the legacy pipeline. `known`: this message
    had the number already. `after`: for a number that the caller chose, the highest one known here.
    """

    turn: int
    legacy_pending: int = 0
    known: bool = False
    after: int | None = None

    @property
    def in_reach(self) -> bool:
        """Whether this number may be the session's next, as far as is known here."""
        return self.after is None or self.turn <= self.after + limits.MAX_TURN_AHEAD


class TurnNumberAllocator:
    """Remembers the last numbers of `MAX_REMEMBERED_SESSIONS` sessions, for times without Redis."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._last: OrderedDict[str, int] = OrderedDict()

    async def allocate(self, session_id: str, request_id: str | None) -> TurnNumber:
        """Return the next number, or the one that this message has already."""
        return await self._number(
            _ALLOCATE, session_id, request_id, 1, self._last.get(session_id, 0)
        )

    async def advance_to(
        self, session_id: str, request_id: str | None, next_turn: int
    ) -> TurnNumber:
        """Return a number that is free according to the engine."""
        return await self._number(_ADVANCE, session_id, request_id, next_turn, next_turn)

    async def reserve(self, session_id: str, turn: int, *, resumed: bool = False) -> TurnNumber:
        """Return a number that the caller chose, for a new turn or one that was begun (`resumed`)."""

        async def work(client: Redis) -> int:
            values = (redis_names.SESSION_TTL_S, turn, 0 if resumed else limits.MAX_TURN_AHEAD)
            return int(
                await client.eval(
                    _RESERVE,
                    1,
                    redis_names.turn_counter(session_id),
                    *(str(value) for value in values),
                )
            )

        try:
            last = await self._redis.call("turn_number", work)
        except RedisUnavailable:
            last = 0
        number = TurnNumber(turn, after=max(last, self._last.get(session_id, 0)))
        if number.in_reach and not resumed:
            self._remember(session_id, turn)
        return number

    async def legacy_is_busy(self, session_id: str, within_s: float) -> bool:
        """Wait for the session's turns in the legacy pipeline; return whether one is left.

        The next turn must not overtake them. A turn that is older than `LEGACY_SLOW_S` does not
        count, since a pipeline that is down must not keep a session from its engine.
        """

        async def work(client: Redis) -> str | None:
            head = await client.lindex(redis_names.session_queue(session_id), 0)
            return None if head is None else str(head)

        until = asyncio.get_running_loop().time() + within_s
        try:
            while (head := await self._redis.call("turn_number", work)) is not None:
                if _request_age_s(head) > LEGACY_SLOW_S:
                    return False
                if asyncio.get_running_loop().time() > until:
                    return True
                await asyncio.sleep(LEGACY_POLL_INTERVAL_S)
        except RedisUnavailable:
            # Without Redis the legacy pipeline would answer nothing either.
            return False
        return False

    async def _number(
        self, script: str, session_id: str, request_id: str | None, without_redis: int, *args: int
    ) -> TurnNumber:
        keys = [redis_names.turn_counter(session_id), redis_names.session_queue(session_id)]
        if request_id is not None:
            keys.append(redis_names.turn_of_request(session_id, request_id))
        values = [redis_names.SESSION_TTL_S, redis_names.REPLY_CLAIM_TTL_S, *args]

        async def work(client: Redis) -> TurnNumber:
            turn, pending, known = await client.eval(
                script, len(keys), *keys, *(str(value) for value in values)
            )
            return TurnNumber(int(turn), int(pending), bool(known))

        try:
            number = await self._redis.call("turn_number", work)
        except RedisUnavailable:
            # Read after the wait, so that two concurrent messages get different numbers.
            number = TurnNumber(max(without_redis, self._last.get(session_id, 0) + 1))
        if number.turn > limits.MAX_TURN:
            raise NoNumbersLeft(
                f"session {session_id} has had all of its {limits.MAX_TURN} turns; use another sessionId"
            )
        self._remember(session_id, number.turn)
        return number

    def _remember(self, session_id: str, turn: int) -> None:
        self._last[session_id] = max(turn, self._last.get(session_id, 0))
        self._last.move_to_end(session_id)
        while len(self._last) > MAX_REMEMBERED_SESSIONS:
            self._last.popitem(last=False)


def _request_age_s(entry: str) -> float:
    """Return the age in seconds of a turn in a session's queue; infinite if it is not known."""
    try:
        asked = UserInput.from_json(entry.partition("\n")[2]).meta.received_at
    except ValidationError:
        return math.inf
    return math.inf if asked is None else time.time() - asked
