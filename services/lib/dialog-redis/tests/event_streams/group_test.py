import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams import group as groups
from dialog_redis.event_streams.group import GroupStore
from dialog_telemetry import metrics

STREAM = redis_names.EVENTS_ANALYTICS
GROUP = redis_names.EVENT_GROUPS[STREAM]


@pytest.fixture
async def one(url: str) -> AsyncIterator[GroupStore]:
    made = GroupStore(url, STREAM, "one")
    await made.attach()
    yield made
    await made.aclose()


async def add(redis: Any, *ages_s: float) -> list[str]:
    now = time.time()
    return [
        str(await redis.xadd(STREAM, {"payload": "{}"}, id=f"{int((now - age) * 1000)}-{number}"))
        for number, age in enumerate(ages_s)
    ]


async def test_acknowledged_entries_stay_for_a_time_and_pending_ones_always(
    one: GroupStore, redis: Any
) -> None:
    ids = await add(redis, 5_000, 4_000, 3_000, 2_000, 1)
    await one.read_new(4, block=False)
    await one.acknowledge([ids[0], ids[1], ids[3]])
    await one.maintain()
    left = [name for name, _ in await redis.xrange(STREAM)]
    assert left == ids[2:], "the third is pending, and the fourth behind it stays with it"
    await one.acknowledge([ids[2]])
    await one.read_new(1, block=False)
    await one.acknowledge([ids[4]])
    await one.maintain()
    assert [name for name, _ in await redis.xrange(STREAM)] == [ids[4]], "it is one second old"


async def test_a_group_that_never_read_keeps_everything(one: GroupStore, redis: Any) -> None:
    ids = await add(redis, 5_000, 4_000)
    await redis.xgroup_create(STREAM, "slow", "0")
    await one.read_new(10, block=False)
    await one.acknowledge(ids)
    await one.maintain()
    assert await redis.xlen(STREAM) == 2


async def test_the_outer_bound_removes_the_oldest_and_says_so(
    one: GroupStore, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_names, "MAX_EVENTS", 3)
    ids = await add(redis, 50, 40, 30, 20, 10)
    before = metrics.EVENTS_TRIMMED.labels(stream=STREAM)._value.get()
    await one.maintain()
    assert [name for name, _ in await redis.xrange(STREAM)] == ids[2:]
    assert metrics.EVENTS_TRIMMED.labels(stream=STREAM)._value.get() == before + 2


async def test_it_counts_what_waits(one: GroupStore, redis: Any) -> None:
    await add(redis, 50, 40, 30)
    await one.read_new(1, block=False)
    await one.maintain()
    assert one.waiting == 3


async def test_a_consumer_that_is_gone_is_forgotten_once_it_owes_nothing(
    one: GroupStore, redis: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "FORGET_CONSUMER_MS", -1)
    [first] = await add(redis, 50)
    gone = GroupStore(url, STREAM, "gone")
    await gone.read_new(1, block=False)
    await one.read_new(1, block=False)
    await one.maintain()
    names = {row["name"] for row in await redis.xinfo_consumers(STREAM, GROUP)}
    assert names == {"one", "gone"}
    await gone.acknowledge([first])
    await gone.aclose()
    await one.maintain()
    names = {row["name"] for row in await redis.xinfo_consumers(STREAM, GROUP)}
    assert names == {"one"}


async def test_where_nobody_listens_it_is_unavailable(no_url: str) -> None:
    group = GroupStore(no_url, STREAM, "one")
    with pytest.raises(RedisUnavailable):
        await group.read_new(1, block=False)
    await group.aclose()
