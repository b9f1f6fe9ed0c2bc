"""Whose acknowledgement counts, from when on, and what is made of one that nobody can read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from dialog_contracts.redis_names import FLAGS_ACKS
from dialog_contracts.session_document import FlagAck
from dialog_flags.flags import Flag
from dialog_redis.client import RedisClient, RedisUnavailable
from vtuber_operator.observe.ack_reader import ACK_TTL_MS, AckReader
from vtuber_operator.plan.snapshot import Acknowledgement
from vtuber_operator.testing.redis_server import RedisServer
from vtuber_operator.testing.wait import until

NOW_MS = 1_760_000_000_000


def said(revision: int, at_ms: int = NOW_MS, *missing: str) -> str:
    return FlagAck(
        service="engine", revision=revision, at=at_ms / 1_000, missing_keys=list(missing)
    ).to_json()


@dataclass
class Reading:
    """A reader on a clock that stands, and how often it said that something changed."""

    reader: AckReader
    now_ms: int = NOW_MS
    changes: list[int] = field(default_factory=list)


def reading(client: RedisClient) -> Reading:
    made = Reading(AckReader(client, lambda: made.changes.append(1), clock_ms=lambda: made.now_ms))
    return made


@pytest.fixture
async def client(url: str) -> AsyncIterator[RedisClient]:
    made = RedisClient(url, timeout_s=2, cooldown_s=0, retry=False, encoding_errors="replace")
    yield made
    await made.aclose()


@asynccontextmanager
async def running(reader: AckReader) -> AsyncIterator[None]:
    task = asyncio.create_task(reader.run())
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)


async def test_what_was_there_before_is_as_old_as_it_says(
    client: RedisClient, redis: "Redis"
) -> None:
    await redis.hset(
        FLAGS_ACKS, mapping={"a": said(7, NOW_MS - 20_000), "ahead": said(8, NOW_MS + 9_000)}
    )
    seen = reading(client)
    assert not seen.reader.read_once
    await seen.reader.refresh()
    assert seen.reader.read_once
    assert seen.reader.acks == {
        "a": Acknowledgement(7, NOW_MS - 20_000),
        "ahead": Acknowledgement(8, NOW_MS),
    }, "no pod's clock makes it younger than now"


async def test_what_changes_under_our_eyes_is_of_now_whatever_the_pods_clock(
    client: RedisClient, redis: "Redis"
) -> None:
    await redis.hset(FLAGS_ACKS, "a", said(7, NOW_MS - 40_000))
    seen = reading(client)
    await seen.reader.refresh()
    seen.now_ms += 1_000
    await redis.hset(FLAGS_ACKS, "a", said(8, NOW_MS - 39_000, "vt.openai.token.1"))
    await seen.reader.refresh()
    assert seen.reader.acks == {
        "a": Acknowledgement(8, NOW_MS + 1_000, frozenset({"vt.openai.token.1"}))
    }


async def test_only_what_means_something_new_wakes_the_operator(
    client: RedisClient, redis: "Redis"
) -> None:
    seen = reading(client)

    async def changes_after(raw: str, later_ms: int = 5_000) -> int:
        seen.now_ms += later_ms
        await redis.hset(FLAGS_ACKS, "a", raw)
        before = len(seen.changes)
        await seen.reader.refresh()
        return len(seen.changes) - before

    assert await changes_after(said(7)) == 1, "a pod that nobody knew"
    assert await changes_after(said(7, NOW_MS + 5_000)) == 0, "renewed"
    assert await changes_after(said(8, NOW_MS + 10_000)) == 1, "a revision"
    assert await changes_after(said(8, NOW_MS + 15_000, "k")) == 1, "a key that is missing"
    assert await changes_after(said(8, NOW_MS + 15_000, "k")) == 0, "nothing at all"
    assert await changes_after(said(8, NOW_MS + 40_000, "k"), later_ms=20_000) == 1, (
        "back after it was too old to count"
    )


async def test_flags_that_a_pod_cannot_serve_are_read_and_those_of_a_newer_one_ignored(
    client: RedisClient, redis: "Redis"
) -> None:
    made = reading(client)
    ack = FlagAck(
        service="engine",
        revision=1,
        at=NOW_MS / 1_000,
        unsupported={"ENABLE_LTM": "not built", "ENABLE_TELEPATHY": "not yet"},
    )
    await redis.hset(FLAGS_ACKS, "engine-0", ack.to_json())
    async with running(made.reader):
        await until(lambda: "engine-0" in made.reader.acks, "it is read")
    assert made.reader.acks["engine-0"].unsupported == {(Flag.ENABLE_LTM, "not built")}


async def test_fields_of_pods_that_are_gone_are_removed(
    client: RedisClient, redis: "Redis"
) -> None:
    await redis.hset(FLAGS_ACKS, mapping={"gone": said(7), "here": said(7)})
    seen = reading(client)
    await seen.reader.refresh()
    seen.now_ms += ACK_TTL_MS + 1
    await redis.hset(FLAGS_ACKS, "here", said(7, seen.now_ms))
    await seen.reader.refresh()
    assert seen.reader.acks.keys() == {"here"}
    assert await redis.hkeys(FLAGS_ACKS) == ["here"]
    await redis.delete(FLAGS_ACKS)
    await seen.reader.refresh()
    assert seen.reader.acks == {}, "an emptied Redis has no acknowledgements"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "no json",
        "[]",
        '{"service":"x"}',
        '{"service":"x","revision":-1,"at":1}',
        '{"service":"x","revision":9,"at":1e999}',
        '{"service":"x","revision":9,"at":NaN}',
        '{"service":"x","revision":9,"at":-Infinity}',
        '{"service":"x","revision":9,"at":1,"missingKeys":["../../etc/passwd"]}',
        b"\xff\xfe",
    ],
)
async def test_one_that_nobody_can_read_is_removed_and_hides_no_other(
    client: RedisClient, redis: "Redis", raw: str | bytes
) -> None:
    await redis.hset(FLAGS_ACKS, mapping={"bad": raw, "good": said(7)})
    seen = reading(client)
    await seen.reader.refresh()
    assert seen.reader.acks == {"good": Acknowledgement(7, NOW_MS)}
    assert await redis.hkeys(FLAGS_ACKS) == ["good"]


async def test_a_pod_that_says_rubbish_keeps_what_it_said_before_until_that_is_old(
    client: RedisClient, redis: "Redis"
) -> None:
    await redis.hset(FLAGS_ACKS, "a", said(7))
    seen = reading(client)
    await seen.reader.refresh()
    await redis.hset(FLAGS_ACKS, "a", "rubbish")
    seen.now_ms += 5_000
    await seen.reader.refresh()
    assert seen.reader.acks == {"a": Acknowledgement(7, NOW_MS)}, "it grows no younger"
    seen.now_ms += ACK_TTL_MS
    await seen.reader.refresh()
    assert seen.reader.acks == {}


ACKS = st.fixed_dictionaries(
    {
        "service": st.text(max_size=3),
        "revision": st.integers(),
        "at": st.floats(),
        "missingKeys": st.lists(st.text(max_size=3)),
    }
)


@given(st.text() | ACKS.map(json.dumps))
def test_no_text_ends_the_reader(raw: str) -> None:
    seen = reading(
        RedisClient(
            "redis://127.0.0.1:9", timeout_s=1, cooldown_s=0, retry=False, encoding_errors="replace"
        )
    )
    seen.reader._take("pod", raw)
    assert all(ack.at_ms <= NOW_MS for ack in seen.reader.acks.values())


async def test_a_pod_that_speaks_up_is_heard_at_once(client: RedisClient, redis: "Redis") -> None:
    seen = reading(client)
    async with running(seen.reader):
        await until(
            lambda: seen.reader.read_once and bool(seen.changes),
            "listens, and says that Redis is there",
        )
        await redis.hset(FLAGS_ACKS, "a", said(7, NOW_MS - 50_000))
        await redis.publish(FLAGS_ACKS, "nobody")
        await redis.publish(FLAGS_ACKS, "a")
        # Read again by itself only after five seconds.
        await until(
            lambda: seen.reader.acks == {"a": Acknowledgement(7, NOW_MS)}, "heard", within_s=4
        )


async def test_after_redis_was_away_everything_is_read_again(store: RedisServer) -> None:
    client = RedisClient(
        store.url, timeout_s=0.5, cooldown_s=0, retry=False, encoding_errors="replace"
    )
    seen = reading(client)
    async with running(seen.reader):
        async with Redis.from_url(store.url) as redis:
            await redis.hset(FLAGS_ACKS, "a", said(7))
            await redis.publish(FLAGS_ACKS, "a")
        await until(lambda: "a" in seen.reader.acks, "heard")
        store.stop()
        await until(lambda: client.unavailable_reason is not None, "noticed")
        with pytest.raises(RedisUnavailable):
            await seen.reader.refresh()
        assert "a" in seen.reader.acks, "what it said is not forgotten because Redis is away"
        store.start()
        async with Redis.from_url(store.url) as redis:
            await redis.hset(FLAGS_ACKS, "b", said(9))
        await until(lambda: seen.reader.acks.keys() == {"b"}, "read again, without a message")
    await client.aclose()
