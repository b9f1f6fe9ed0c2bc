"""What is kept of each user, in a real Valkey."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient, RedisUnavailable
from long_term_memory.memory_store import MemoryStore

NOW = 1_700_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(link: RedisClient, clock: Clock) -> MemoryStore:
    return MemoryStore(link, memories=60, ttl_s=1_000, clock=clock)


async def add(
    redis: "Redis",
    store: MemoryStore,
    user: str,
    content: str,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    memory, effects = store.add_commands(user, content, metadata or {})
    for effect in effects:
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]
    return memory


async def update(redis: "Redis", store: MemoryStore, user: str, updates: dict[str, Any]) -> None:
    for effect in store.update_commands(user, updates):
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]


def contents(found: list[dict[str, Any]]) -> list[str]:
    return [memory["content"] for memory in found]


async def test_nothing_is_kept_before_the_effects_are_carried_out(
    redis: "Redis", store: MemoryStore
) -> None:
    store.add_commands("tom", "likes cats", {})
    store.update_commands("tom", {"name": "Tom"})
    assert await redis.keys() == []


async def test_a_memory_is_found_as_it_was_added_with_its_score(
    redis: "Redis", store: MemoryStore
) -> None:
    made = await add(redis, store, "tom", "他喜欢猫, cats", {"mood": "happy"})
    assert made == {
        "id": made["id"],
        "content": "他喜欢猫, cats",
        "metadata": {"mood": "happy"},
        "timestamp": NOW,
    }
    assert await store.search("tom", "does he like cats", 5) == [{**made, "score": 0.25}]
    assert await store.search("tom", "喜欢什么", 5) == [{**made, "score": 0.333}]


async def test_users_are_kept_apart(redis: "Redis", store: MemoryStore) -> None:
    await add(redis, store, "tom", "likes cats")
    await add(redis, store, "tom:memories", "hates cats")
    await update(redis, store, "tom", {"name": "Tom"})
    assert contents(await store.search("tom", "cats", 5)) == ["likes cats"]
    assert contents(await store.search("tom:memories", "cats", 5)) == ["hates cats"]
    assert await store.search("anna", "cats", 5) == []
    assert await store.profile("anna") == {}
    assert await store.profile("tom") == {"name": "Tom"}


async def test_the_likest_come_first_and_of_equals_the_newest(
    redis: "Redis", store: MemoryStore, clock: Clock
) -> None:
    for content in ("cats, long ago", "black cats", "cats, lately", "dogs"):
        clock.now += 1
        await add(redis, store, "tom", content)
    assert contents(await store.search("tom", "black cats", 5)) == [
        "black cats",
        "cats, lately",
        "cats, long ago",
    ]
    assert contents(await store.search("tom", "black cats", 2)) == ["black cats", "cats, lately"]


async def test_a_question_without_words_finds_nothing(redis: "Redis", store: MemoryStore) -> None:
    await add(redis, store, "tom", "likes cats")
    assert await store.search("tom", "？！", 5) == []


async def test_beyond_the_limit_the_oldest_is_forgotten(
    redis: "Redis", store: MemoryStore, clock: Clock
) -> None:
    for number in range(63):
        clock.now += 1
        await add(redis, store, "tom", f"cats {number}")
    rows = await redis.zrange(redis_names.user_memories("tom"), 0, -1)
    assert [json.loads(str(row))["content"] for row in rows] == [
        f"cats {number}" for number in range(3, 63)
    ]
    assert contents(await store.search("tom", "cats", 2)) == ["cats 62", "cats 61"]


async def test_the_same_words_again_are_the_same_memory_but_newer(
    redis: "Redis", store: MemoryStore, clock: Clock
) -> None:
    first = await add(redis, store, "tom", "likes cats", {"a": 1, "b": 2})
    clock.now += 1
    await add(redis, store, "tom", "has cats")
    clock.now += 1
    again = await add(redis, store, "tom", "likes cats", {"b": 2, "a": 1})
    assert (again["id"], again["timestamp"]) == (first["id"], NOW + 2)
    found = await store.search("tom", "cats", 5)
    assert contents(found) == ["likes cats", "has cats"]
    assert found[0]["timestamp"] == NOW + 2


async def test_who_is_not_heard_of_is_forgotten_and_every_word_puts_that_off(
    redis: "Redis", store: MemoryStore
) -> None:
    await add(redis, store, "tom", "likes cats")
    await update(redis, store, "tom", {"name": "Tom"})
    keys = [redis_names.user_memories("tom"), redis_names.user_profile("tom")]
    for key in keys:
        await redis.expire(key, 5)
    await add(redis, store, "tom", "likes dogs")
    await update(redis, store, "tom", {"age": 7})
    assert [900 < await redis.ttl(key) <= 1_000 for key in keys] == [True, True]


async def test_a_profile_keeps_the_fields_that_nobody_changes_and_their_types(
    redis: "Redis", store: MemoryStore
) -> None:
    await update(redis, store, "tom", {"name": "汤姆", "age": 7, "tags": ["a", "b"], "pet": None})
    await update(redis, store, "tom", {"age": 8})
    assert await store.profile("tom") == {"name": "汤姆", "age": 8, "tags": ["a", "b"]}
    await update(redis, store, "tom", {"tags": None})
    assert await store.profile("tom") == {"name": "汤姆", "age": 8}


async def test_what_an_older_service_wrote_into_a_profile_is_read_as_text(
    redis: "Redis", store: MemoryStore
) -> None:
    await redis.hset(
        redis_names.user_profile("tom"), mapping={"name": "Tom", "age": "7", "tags": '["a"]'}
    )
    assert await store.profile("tom") == {"name": "Tom", "age": 7, "tags": ["a"]}


async def test_a_key_of_another_type_is_an_error_and_not_an_endless_wait(
    redis: "Redis", store: MemoryStore
) -> None:
    await redis.set(redis_names.user_memories("tom"), "an older service's")
    await redis.set(redis_names.user_profile("tom"), "an older service's")
    with pytest.raises(RedisUnavailable):
        await store.search("tom", "cats", 5)
    with pytest.raises(RedisUnavailable):
        await store.profile("tom")
