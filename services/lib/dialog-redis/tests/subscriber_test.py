"""Announcements over a real Redis that dies and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_redis.client import RedisUnavailable, connect_without_retries
from dialog_redis.subscriber import MAX_BATCH, Announcement, Subscriber

CHANNELS = ("test:a", "test:b")


class Follower:
    """What a subscriber's owner gets, in order."""

    def __init__(self, url: str) -> None:
        self.client = connect_without_retries(url, timeout_s=1, connect_timeout_s=1)
        self.got: list[object] = []
        self.largest = 0
        self.fails_on: str | None = None
        self.subscriber = Subscriber(
            self.client,
            "test",
            CHANNELS,
            interval_s=0.05,
            on_announcements=self._take,
            on_subscribed=self._subscribed,
            on_failed=lambda error: self.got.append(type(error)),
        )

    async def _subscribed(self) -> None:
        self.got.append("subscribed")

    async def _take(self, announcements: list[Announcement]) -> None:
        self.largest = max(self.largest, len(announcements))
        for said in announcements:
            if said.data == self.fails_on:
                raise RedisUnavailable("test", "x")
            self.got.append((said.channel, said.data))


@pytest.fixture
async def follower(url: str) -> AsyncIterator[Follower]:
    made = Follower(url)
    made.subscriber.start()
    yield made
    await made.subscriber.aclose()
    await made.client.aclose()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.01)


async def test_after_the_state_was_read_announcements_of_all_channels_come_in_order(
    follower: Follower, url: str
) -> None:
    await until(lambda: follower.got == ["subscribed"])
    async with Redis.from_url(url) as publisher:
        for number in range(3):
            await publisher.publish(CHANNELS[number % 2], str(number))
    await until(lambda: len(follower.got) == 4)
    assert follower.got[1:] == [("test:a", "0"), ("test:b", "1"), ("test:a", "2")]


async def test_a_flood_comes_in_bounded_batches(follower: Follower, url: str) -> None:
    await until(lambda: follower.got == ["subscribed"])
    count = 2 * MAX_BATCH + 10
    async with Redis.from_url(url) as publisher, publisher.pipeline(transaction=False) as together:
        for number in range(count):
            together.publish("test:a", str(number))
        await together.execute()
    await until(lambda: len(follower.got) == count + 1)
    assert follower.largest <= MAX_BATCH
    assert follower.got[1:] == [("test:a", str(number)) for number in range(count)]


async def test_a_handler_that_cannot_reach_redis_begins_a_new_connection(
    follower: Follower, url: str
) -> None:
    await until(lambda: follower.got == ["subscribed"])
    follower.fails_on = "bad"
    async with Redis.from_url(url) as publisher:
        await publisher.publish("test:a", "bad")
        await until(lambda: follower.got == ["subscribed", RedisUnavailable, "subscribed"])
        await publisher.publish("test:a", "good")
    await until(lambda: follower.got[-1] == ("test:a", "good"))


async def test_a_redis_that_dies_is_reported_and_its_state_is_read_when_it_is_back(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store")
    follower = Follower(store.url)
    with store:
        follower.subscriber.start()
        await until(lambda: follower.got == ["subscribed"])
    await until(lambda: len(follower.got) > 1)
    with store:
        await until(lambda: follower.got[-1] == "subscribed")
        assert follower.got.count("subscribed") == 2
        await follower.subscriber.aclose()
        await follower.client.aclose()


async def test_nothing_comes_after_it_was_closed(follower: Follower, url: str) -> None:
    await until(lambda: follower.got == ["subscribed"])
    await follower.subscriber.aclose()
    async with Redis.from_url(url) as publisher:
        assert await publisher.publish("test:a", "late") == 0
    assert follower.got == ["subscribed"]
