"""At a real Valkey: a turn that somebody speaks elsewhere, and the wait for what was heard of it."""

import asyncio

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from service_runtime import sounding
from service_runtime.redis_link import RedisLink
from service_runtime.sounding import Sounding


async def test_one_turn_sounds_until_it_is_over(link: RedisLink, redis: Redis) -> None:
    one, other = Sounding(link), Sounding(link)
    assert await other.now("s") == 0
    await one.begins("s", 7)
    assert (await other.now("s"), await other.now("another")) == (7, 0)
    assert 0 < await redis.ttl(redis_names.sounding("s")) <= sounding.TTL_S
    await one.over("s", 6)
    assert await other.now("s") == 7, "that was another turn"
    await one.over("s", 7)
    assert await other.now("s") == 0


async def test_the_wait_ends_with_the_sound_and_not_with_that_of_another_turn(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounding, "OVER_WITHIN_S", 10)
    one = Sounding(link)
    await one.begins("s", 7)
    waiting = asyncio.create_task(Sounding(link).until_over("s", 7))
    await asyncio.sleep(0.05)
    await one.over("s", 6)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await one.over("s", 7)
    await asyncio.wait_for(waiting, 5)


async def test_whoever_never_says_so_is_waited_for_once_and_not_long(link: RedisLink) -> None:
    one, clock, took = Sounding(link), asyncio.get_running_loop().time, []
    for _ in range(3):
        await one.begins("s", 7)
        began = clock()
        await one.until_over("s", 7)
        took.append(clock() - began)
        assert await one.now("s") == 0
    assert sounding.OVER_WITHIN_S <= min(took) < sounding.OVER_WITHIN_S + 0.2


async def test_without_redis_nothing_sounds_and_nobody_waits(no_link: RedisLink) -> None:
    one = Sounding(no_link)
    await one.begins("s", 7)
    assert await one.now("s") == 0
    clock, took = asyncio.get_running_loop().time, []
    for _ in range(3):
        began = clock()
        await one.until_over("s", 7)
        took.append(clock() - began)
    assert min(took) < 0.2
