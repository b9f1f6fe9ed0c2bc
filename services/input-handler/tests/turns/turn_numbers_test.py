import asyncio
import time

import pytest

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_redis.client import RedisClient
from input_handler.errors import NoNumbersLeft
from input_handler.turns import turn_numbers
from input_handler.turns.turn_numbers import TurnNumber, TurnNumberAllocator


async def test_numbers_count_from_1_within_each_session(redis: RedisClient) -> None:
    numbers = TurnNumberAllocator(redis)
    assert [(await numbers.allocate("live-001", None)).turn for _ in range(3)] == [1, 2, 3]
    assert (await numbers.allocate("live-002", None)).turn == 1


async def test_replicas_share_one_counter(redis: RedisClient) -> None:
    replicas = [TurnNumberAllocator(redis) for _ in range(4)]
    taken = await asyncio.gather(*(replicas[at % 4].allocate("live-001", None) for at in range(40)))
    assert sorted(number.turn for number in taken) == list(range(1, 41))


async def test_a_message_sent_again_keeps_its_number_on_any_replica(redis: RedisClient) -> None:
    assert (await TurnNumberAllocator(redis).allocate("live-001", "r-1")).turn == 1
    assert (await TurnNumberAllocator(redis).allocate("live-001", "r-2")).turn == 2
    assert (await TurnNumberAllocator(redis).allocate("live-001", "r-1")).turn == 1
    assert (await TurnNumberAllocator(redis).allocate("live-001", "r-3")).turn == 3
    assert (await TurnNumberAllocator(redis).allocate("live-002", "r-1")).turn == 1


async def test_skipping_goes_to_the_number_the_engine_said_and_never_back(
    redis: RedisClient,
) -> None:
    numbers = TurnNumberAllocator(redis)
    await numbers.allocate("live-001", "r-1")
    assert (await numbers.advance_to("live-001", "r-1", 43)).turn == 43
    assert (await numbers.allocate("live-001", "r-1")).turn == 43
    assert (await numbers.allocate("live-001", "r-2")).turn == 44
    assert (await numbers.advance_to("live-001", "r-2", 10)).turn == 45
    assert (await numbers.allocate("live-001", None)).turn == 46


async def test_keys_expire(redis: RedisClient) -> None:
    await TurnNumberAllocator(redis).allocate("live-001", "r-1")
    assert (
        0
        < await redis.client.ttl(redis_names.turn_counter("live-001"))
        <= redis_names.SESSION_TTL_S
    )
    assert (
        0
        < await redis.client.ttl(redis_names.turn_of_request("live-001", "r-1"))
        <= redis_names.REPLY_CLAIM_TTL_S
    )
    await TurnNumberAllocator(redis).advance_to("live-002", "r-1", 7)
    assert await redis.client.ttl(redis_names.turn_counter("live-002")) > 0


async def test_without_redis_the_last_number_seen_goes_on(no_redis: RedisClient) -> None:
    numbers = TurnNumberAllocator(no_redis)
    assert [(await numbers.allocate("live-001", None)).turn for _ in range(3)] == [1, 2, 3]
    assert (await numbers.advance_to("live-001", None, 43)).turn == 43
    assert (await numbers.allocate("live-001", None)).turn == 44
    assert (await numbers.allocate("live-002", None)).turn == 1


async def test_without_redis_two_at_once_get_two_numbers(no_redis: RedisClient) -> None:
    numbers = TurnNumberAllocator(no_redis)
    taken = await asyncio.gather(*(numbers.allocate("live-001", None) for _ in range(5)))
    assert sorted(number.turn for number in taken) == [1, 2, 3, 4, 5]


async def test_redis_going_away_does_not_begin_anew(
    redis: RedisClient, no_redis: RedisClient
) -> None:
    numbers = TurnNumberAllocator(redis)
    for _ in range(5):
        await numbers.allocate("live-001", None)
    numbers._redis = no_redis
    assert (await numbers.allocate("live-001", None)).turn == 6


async def test_only_so_many_sessions_are_remembered(
    no_redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_numbers, "MAX_REMEMBERED_SESSIONS", 2)
    numbers = TurnNumberAllocator(no_redis)
    for name in ("a", "b", "a", "c"):
        await numbers.allocate(name, None)
    assert (await numbers.allocate("a", None)).turn == 3
    assert (await numbers.allocate("b", None)).turn == 1


async def test_a_repeated_message_is_known_and_turns_in_the_legacy_chain_are_told(
    redis: RedisClient,
) -> None:
    numbers = TurnNumberAllocator(redis)
    assert await numbers.allocate("live-001", "r-1") == TurnNumber(1, 0, known=False)
    await redis.client.rpush(redis_names.session_queue("live-001"), "live-001#1\n{}")
    assert await numbers.allocate("live-001", "r-1") == TurnNumber(1, 1, known=True)
    assert await numbers.allocate("live-001", "r-2") == TurnNumber(2, 1, known=False)


def entry(**meta: object) -> str:
    known = {"session_id": "live-001", "received_at": time.time(), **meta}
    message = UserInput.model_validate(
        {"task_id": "live-001", "content": "?", "timestamp": 1.0, "meta": known}
    )
    return "live-001#1\n" + message.to_json()


async def test_a_turn_waits_for_the_one_before_it_but_not_for_ever(redis: RedisClient) -> None:
    numbers, key = TurnNumberAllocator(redis), redis_names.session_queue("live-001")
    assert not await numbers.legacy_is_busy("live-001", 1)
    await redis.client.rpush(key, entry())
    assert await numbers.legacy_is_busy("live-001", 0.1)
    waiting = asyncio.create_task(numbers.legacy_is_busy("live-001", 5))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await redis.client.delete(key)
    assert not await waiting


@pytest.mark.parametrize(
    "old", [entry(received_at=1.0), entry(received_at=None), "live-001#1\nno json", "live-001#1"]
)
async def test_one_that_the_chain_has_had_for_too_long_is_not_waited_for(
    redis: RedisClient, old: str
) -> None:
    await redis.client.rpush(redis_names.session_queue("live-001"), old)
    began = asyncio.get_running_loop().time()
    assert not await TurnNumberAllocator(redis).legacy_is_busy("live-001", 5)
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_chosen_number_within_reach_is_the_counters_too(redis: RedisClient) -> None:
    numbers = TurnNumberAllocator(redis)
    assert await numbers.reserve("live-001", 100) == TurnNumber(100, after=0)
    assert (await TurnNumberAllocator(redis).allocate("live-001", None)).turn == 101
    assert await redis.client.ttl(redis_names.turn_counter("live-001")) > 0


@pytest.mark.parametrize("turn", [102, 1_000_000, 2**31 - 1])
async def test_one_out_of_reach_changes_nothing(redis: RedisClient, turn: int) -> None:
    numbers = TurnNumberAllocator(redis)
    await numbers.allocate("live-001", None)
    chosen = await numbers.reserve("live-001", turn)
    assert (chosen.in_reach, chosen.after) == (False, 1)
    assert (await numbers.allocate("live-001", None)).turn == 2


async def test_the_number_of_a_turn_that_is_resumed_raises_no_counter(redis: RedisClient) -> None:
    numbers = TurnNumberAllocator(redis)
    await numbers.reserve("live-001", 50, resumed=True)
    assert (await numbers.allocate("live-001", None)).turn == 1


async def test_without_redis_reach_is_counted_from_the_last_number_seen(
    no_redis: RedisClient,
) -> None:
    numbers = TurnNumberAllocator(no_redis)
    assert (await numbers.reserve("live-001", 60)).in_reach
    assert (await numbers.reserve("live-001", 160)).in_reach
    assert not (await numbers.reserve("live-001", 261)).in_reach
    assert (await numbers.allocate("live-001", None)).turn == 161


async def test_a_session_that_has_had_every_number_says_so(redis: RedisClient) -> None:
    await redis.client.set(redis_names.turn_counter("live-001"), 2**31 - 1)
    with pytest.raises(NoNumbersLeft, match="use another sessionId"):
        await TurnNumberAllocator(redis).allocate("live-001", None)


async def test_a_number_that_was_given_while_redis_was_late_is_given_to_nobody_else(
    redis: RedisClient, no_redis: RedisClient
) -> None:
    """Before: the next message got it again, and on the chain with it the other one's answer."""
    numbers = TurnNumberAllocator(redis)
    assert [(await numbers.allocate("live-001", None)).turn for _ in range(4)] == [1, 2, 3, 4]
    numbers._redis = no_redis
    assert (await numbers.allocate("live-001", "late")).turn == 5
    numbers._redis = redis
    assert (await numbers.allocate("live-001", "next")).turn == 6
    assert await redis.client.get(redis_names.turn_counter("live-001")) == "6"
