"""What a consumer holds, in a real Valkey. What is finished with its effects.

`effects_test`, `work_scripts_test`.
"""

import asyncio

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.work_queue import store
from dialog_redis.work_queue.store import QueueStore

LIST = "user_input_queue"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BLOCK_S", 0.1)


async def test_the_oldest_message_is_fetched_first_and_is_held(url: str, redis: "Redis") -> None:
    mine = QueueStore(url, LIST, "one", lease_s=5)
    await redis.lpush(LIST, "a", "b")
    assert [await mine.fetch(), await mine.fetch(), await mine.fetch()] == ["a", "b", None]
    assert await mine.held() == ["b", "a"]
    await mine.aclose()


async def test_what_is_put_back_is_taken_next_and_counts_where_it_shall(
    url: str, redis: "Redis"
) -> None:
    mine = QueueStore(url, LIST, "one", lease_s=5)
    await redis.lpush(LIST, "a", "b", "c")
    held = [await mine.fetch(), await mine.fetch()]
    assert await mine.requeue(["b", "a"], counts=True) == 2
    assert [await mine.fetch(), await mine.fetch()] == held
    assert await mine.attempts("a") == 1
    assert await mine.requeue(["a", "never held"], counts=False) == 1
    assert await mine.attempts("a") == 1
    assert await mine.requeue([], counts=True) == 0
    await mine.aclose()


async def test_who_does_not_keep_its_lease_loses_what_it_holds(url: str, redis: "Redis") -> None:
    dead, alive = (
        QueueStore(url, LIST, "dead", lease_s=0.05),
        QueueStore(url, LIST, "alive", lease_s=5),
    )
    await redis.lpush(LIST, "a", "b")
    assert await dead.renew() == (0, 2)
    assert await dead.fetch() == "a"
    await asyncio.sleep(0.1)
    assert await alive.renew() == (1, 2)
    assert await dead.held() == []
    assert await dead.complete("a", []) is None, "it is somebody else's now"
    await alive.release()
    assert await redis.zrange(redis_names.consumers(LIST), 0, -1) == []
    await dead.aclose()
    await alive.aclose()


async def test_a_message_that_is_not_utf8_can_be_held_and_named(url: str, redis: "Redis") -> None:
    mine = QueueStore(url, LIST, "one", lease_s=5)
    await redis.lpush(LIST, b"\xff\xfe")
    raw = await mine.fetch()
    assert raw is not None
    assert raw.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert await mine.complete(raw, []) == []
    assert await mine.held() == []
    await mine.aclose()
