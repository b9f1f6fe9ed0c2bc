"""At a real Valkey.

A turn that somebody speaks elsewhere, and the wait for what was heard of it.
"""

import asyncio

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis import active_playback
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient


async def test_one_turn_sounds_until_it_is_over(link: RedisClient, redis: Redis) -> None:
    one, other = ActivePlayback(link), ActivePlayback(link)
    assert await other.current("s") == 0
    await one.started("s", 7)
    assert (await other.current("s"), await other.current("another")) == (7, 0)
    assert 0 < await redis.ttl(redis_names.active_playback("s")) <= active_playback.TTL_S
    await one.finished("s", 6)
    assert await other.current("s") == 7, "that was another turn"
    await one.finished("s", 7)
    assert await other.current("s") == 0


async def test_the_wait_ends_with_the_sound_and_not_with_that_of_another_turn(
    link: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_playback, "WAIT_TIMEOUT_S", 10)
    one = ActivePlayback(link)
    await one.started("s", 7)
    waiting = asyncio.create_task(ActivePlayback(link).wait_finished("s", 7))
    await asyncio.sleep(0.05)
    await one.finished("s", 6)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await one.finished("s", 7)
    await asyncio.wait_for(waiting, 5)


async def test_whoever_never_says_so_is_waited_for_once_and_not_long(link: RedisClient) -> None:
    one, clock, took = ActivePlayback(link), asyncio.get_running_loop().time, []
    for _ in range(3):
        await one.started("s", 7)
        began = clock()
        await one.wait_finished("s", 7)
        took.append(clock() - began)
        assert await one.current("s") == 0
    assert active_playback.WAIT_TIMEOUT_S <= min(took) < active_playback.WAIT_TIMEOUT_S + 0.2


async def test_without_redis_nothing_sounds_and_nobody_waits(no_link: RedisClient) -> None:
    one = ActivePlayback(no_link)
    await one.started("s", 7)
    assert await one.current("s") == 0
    clock, took = asyncio.get_running_loop().time, []
    for _ in range(3):
        began = clock()
        await one.wait_finished("s", 7)
        took.append(clock() - began)
    assert min(took) < 0.2
