import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness.store import Store

from dialog_contracts import redis_names
from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.publisher import (
    EventPublisher,
    EventToPublish,
    OriginChanged,
    StreamOrigin,
)

STREAM = redis_names.EVENTS_LTM


def event(number: int, session: str = "a", **changes: str) -> EventToPublish:
    values = {
        "session": session,
        "event_id": f"id-{number}",
        "type": "LtmWriteRequested",
        "payload": "{}",
        "traceparent": None,
        **changes,
    }
    return EventToPublish(**values)  # type: ignore[arg-type]


@pytest.fixture
async def publisher(url: str) -> AsyncIterator[EventPublisher]:
    made = EventPublisher(url)
    yield made
    await made.aclose()


async def test_events_are_added_in_their_order_with_their_fields(
    publisher: EventPublisher, redis: Any
) -> None:
    origin = await publisher.attach(STREAM)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made = await publisher.publish(STREAM, origin, [event(1, traceparent=trace), event(2)])
    found = await redis.xrange(STREAM)
    assert [name for name, _ in found] == [each.stream_id for each in made]
    assert [fields["eventId"] for _, fields in found] == ["id-1", "id-2"]
    assert found[0][1]["traceparent"] == trace
    assert "traceparent" not in found[1][1]


async def test_the_group_gets_the_events_from_before_its_first_consumer(
    publisher: EventPublisher, redis: Any
) -> None:
    origin = await publisher.attach(STREAM)
    await publisher.publish(STREAM, origin, [event(1)])
    group = redis_names.EVENT_GROUPS[STREAM]
    found = await redis.xreadgroup(group, "one", {STREAM: ">"})
    rows = next(iter(found.values())) if isinstance(found, dict) else found[0][1]
    assert rows


async def test_a_stream_that_was_deleted_is_noticed(publisher: EventPublisher, redis: Any) -> None:
    origin = await publisher.attach(STREAM)
    await publisher.publish(STREAM, origin, [event(1)])
    await redis.delete(STREAM)
    with pytest.raises(OriginChanged):
        await publisher.publish(STREAM, origin, [event(2)])
    again = await publisher.attach(STREAM)
    assert again.created != origin.created
    assert again.lost_after(origin.run, origin.created) is None
    await publisher.publish(STREAM, again, [event(2)])


async def test_a_consumer_that_creates_it_first_does_not_hide_the_loss(
    publisher: EventPublisher, redis: Any, url: str
) -> None:
    origin = await publisher.attach(STREAM)
    await redis.flushall()
    other = EventPublisher(url)
    await other.attach(STREAM)
    await other.aclose()
    with pytest.raises(OriginChanged):
        await publisher.publish(STREAM, origin, [event(2)])


async def test_a_full_redis_takes_nothing_and_no_event_is_at_fault(
    publisher: EventPublisher, redis: Any
) -> None:
    origin = await publisher.attach(STREAM)
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(RedisUnavailable, match="OutOfMemory|OOM"):
            await publisher.publish(STREAM, origin, [event(1)])
    finally:
        await redis.config_set("maxmemory", "0")
    assert await redis.xlen(STREAM) == 0
    await publisher.publish(STREAM, origin, [event(1)])


async def test_a_key_of_another_type_is_no_fault_of_an_event(
    publisher: EventPublisher, redis: Any
) -> None:
    origin = await publisher.attach(STREAM)
    await redis.delete(STREAM)
    await redis.set(STREAM, "somebody's")
    with pytest.raises(RedisUnavailable):
        await publisher.publish(STREAM, origin, [event(1)])


async def test_where_nobody_listens_it_is_unavailable(no_url: str) -> None:
    publisher = EventPublisher(no_url)
    with pytest.raises(RedisUnavailable):
        await publisher.attach(STREAM)
    await publisher.aclose()


async def test_a_redis_that_was_killed_and_lost_its_tail_says_from_where(tmp_path: Path) -> None:
    """The file of the server is cut to what it was in the middle, as a power cut leaves it."""
    with Store(tmp_path) as store:
        first = EventPublisher(store.url)
        origin = await first.attach(STREAM)
        kept = await first.publish(STREAM, origin, [event(number) for number in range(3)])
        await asyncio.sleep(1.2)
        files = {path: path.read_bytes() for path in tmp_path.rglob("*.aof")}
        assert files
        await first.publish(STREAM, origin, [event(number) for number in range(3, 6)])
        await asyncio.sleep(1.2)
        store.kill()
        for path, content in files.items():
            path.write_bytes(content)
        store.start()
        other = EventPublisher(store.url)
        # Another engine publishes first, and its entries are newer than the lost ones.
        theirs = await other.attach(STREAM)
        await other.publish(STREAM, theirs, [event(100, "b")])
        with pytest.raises((OriginChanged, RedisUnavailable)):
            await first.publish(STREAM, origin, [event(6)])
        again = await first.attach(STREAM)
        assert again.lost_after(origin.run, origin.created) == kept[-1].stream_id
        await other.aclose()
        await first.aclose()


def test_the_lowest_point_of_all_later_runs_counts() -> None:
    origin = StreamOrigin("c", "s", (("a", "0-0"), ("b", "9-1"), ("c", "12-0")))
    assert origin.lost_after("a", "s") == "9-1"
    assert origin.lost_after("b", "s") == "12-0"
    assert origin.lost_after("unknown", "s") is None
    assert origin.lost_after("a", "another stream") is None
    last = origin.lost_after("c", "s")
    assert last is not None
    assert int(last.partition("-")[0]) > 10**18
