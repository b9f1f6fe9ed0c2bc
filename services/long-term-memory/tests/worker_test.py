"""Questions to long-term memory through its work list, in a real Valkey."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import LtmResponse
from dialog_redis.client import RedisClient
from dialog_redis.work_queue.job import Job
from long_term_memory.memory_store import MemoryStore
from long_term_memory.requests import (
    CONTENT_CHARS,
    FOUND_MAX,
    METADATA_CHARS,
    PROFILE_CHARS,
    PROFILE_FIELDS,
)
from long_term_memory.worker import RESPONSE_TTL_S, MemoryWorker

Worked = Callable[..., Awaitable[None]]
Ask = Callable[..., Awaitable[LtmResponse]]
LIST = redis_names.LTM_REQUESTS
DEAD = redis_names.dead_letter(LIST)


@pytest.fixture
def desk(link: RedisClient) -> MemoryWorker:
    return MemoryWorker(MemoryStore(link, memories=10, ttl_s=1_000))


def request(kind: str, data: dict[str, Any], user: str = "tom", name: str = "q-1") -> str:
    return json.dumps({"request_id": name, "type": kind, "user_id": user, "data": data})


async def answer(redis: "Redis", name: str = "q-1") -> LtmResponse:
    raw = await redis.get(redis_names.ltm_response(name))
    assert raw is not None
    return LtmResponse.from_json(raw)


@pytest.fixture
def ask(redis: "Redis", desk: MemoryWorker, worked: Worked) -> Ask:
    async def one(kind: str, data: dict[str, Any], user: str = "tom") -> LtmResponse:
        await worked(LIST, desk.handle, desk.on_exhausted, request(kind, data, user))
        return await answer(redis)

    return one


async def test_what_is_added_is_found_by_the_same_user_and_by_nobody_else(ask: Ask) -> None:
    added = await ask("add", {"content": "他最喜欢蓝色", "metadata": {"turn": 3}})
    assert added.success
    (memory,) = added.memories
    found = await ask("search", {"query": "喜欢什么颜色"})
    assert [one["id"] for one in found.memories] == [memory["id"]]
    assert found.memories[0]["metadata"] == {"turn": 3}
    other = await ask("search", {"query": "喜欢什么颜色"}, user="anna")
    assert (other.success, other.memories, other.user_id) == (True, [], "anna")


async def test_a_profile_is_read_after_it_was_written(ask: Ask) -> None:
    assert (await ask("profile_get", {})).user_profile == {}
    await ask("profile_update", {"updates": {"name": "Tom", "age": 7}})
    assert (await ask("profile_update", {"updates": {"age": 8}})).user_profile == {
        "name": "Tom",
        "age": 8,
    }
    assert (await ask("profile_get", {})).user_profile == {"name": "Tom", "age": 8}


async def test_a_listener_and_a_late_reader_get_the_same_answer(
    redis: "Redis", desk: MemoryWorker, worked: Worked
) -> None:
    listener = redis.pubsub()
    await listener.subscribe(redis_names.LTM_RESPONSES)
    await worked(LIST, desk.handle, desk.on_exhausted, request("add", {"content": "likes cats"}))
    announced = None
    async with asyncio.timeout(2):
        while announced is None:
            announced = await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
    assert LtmResponse.from_json(announced["data"]) == await answer(redis)
    assert 0 < await redis.ttl(redis_names.ltm_response("q-1")) <= RESPONSE_TTL_S
    await listener.aclose()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("kind", "data", "field", "limit"),
    [
        ("search", {}, "query", "required"),
        ("search", {"query": ""}, "query", "at least 1 character"),
        (
            "search",
            {"query": "x" * (CONTENT_CHARS + 1)},
            "query",
            f"at most {CONTENT_CHARS} characters",
        ),
        (
            "search",
            {"query": "x", "limit": FOUND_MAX + 1},
            "limit",
            f"less than or equal to {FOUND_MAX}",
        ),
        ("search", {"query": "x", "limit": 0}, "limit", "greater than or equal to 1"),
        ("add", {"content": 5}, "content", "valid string"),
        (
            "add",
            {"content": "x" * (CONTENT_CHARS + 1)},
            "content",
            f"at most {CONTENT_CHARS} characters",
        ),
        ("add", {"content": "x", "metadata": [1]}, "metadata", "valid dictionary"),
        ("add", {"content": " \n"}, "content", "is blank"),
        (
            "add",
            {"content": "x", "metadata": {"a": "x" * METADATA_CHARS}},
            "metadata",
            f"has more than {METADATA_CHARS}",
        ),
        (
            "profile_update",
            {"updates": {"bio": "x" * PROFILE_CHARS}},
            "updates",
            f"bio has more than {PROFILE_CHARS}",
        ),
        ("profile_update", {}, "updates", "required"),
        ("profile_update", {"updates": {}}, "updates", "at least 1 item"),
        (
            "profile_update",
            {"updates": {str(n): n for n in range(PROFILE_FIELDS + 1)}},
            "updates",
            f"at most {PROFILE_FIELDS} items",
        ),
    ],
)
async def test_a_wrong_question_is_answered_with_the_field_and_the_limit_and_changes_nothing(
    redis: "Redis", ask: Ask, kind: str, data: dict[str, Any], field: str, limit: str
) -> None:
    refused = await ask(kind, data)
    assert (refused.success, refused.memories, refused.user_profile) == (False, [], None)
    assert (refused.error or "").partition(":")[0] == field
    assert limit in (refused.error or "")
    assert await redis.keys() == [redis_names.ltm_response("q-1")]


async def test_a_profile_does_not_grow_beyond_its_limit_update_by_update(
    redis: "Redis", ask: Ask
) -> None:
    assert (
        await ask("profile_update", {"updates": {str(n): n for n in range(PROFILE_FIELDS)}})
    ).success
    refused = await ask("profile_update", {"updates": {"one more": 1}})
    assert (refused.success, refused.error) == (
        False,
        f"updates: a profile has at most {PROFILE_FIELDS} fields",
    )
    assert await redis.hlen(redis_names.user_profile("tom")) == PROFILE_FIELDS
    assert (await ask("profile_update", {"updates": {"one more": 1, "0": None}})).success


@pytest.mark.parametrize(
    ("kind", "data"),
    [("add", {"content": "likes cats"}), ("profile_update", {"updates": {"name": "Tom"}})],
)
async def test_nothing_is_kept_of_somebody_whom_strangers_share(
    redis: "Redis", ask: Ask, kind: str, data: dict[str, Any]
) -> None:
    refused = await ask(kind, data, user="anonymous")
    assert not refused.success
    assert (refused.error or "").startswith("user_id: ")
    assert await redis.keys() == [redis_names.ltm_response("q-1")]


async def test_what_she_said_herself_is_no_memory_of_the_user(redis: "Redis", ask: Ask) -> None:
    answered = await ask("add", {"content": "I like cats", "metadata": {"source": "ai"}})
    assert (answered.success, answered.memories) == (True, [])
    assert await redis.keys() == [redis_names.ltm_response("q-1")]


UNREADABLE = [
    (b"\xff\xfe", None),
    ("{", None),
    ("[]", None),
    ("[" * 100_000, None),
    (request("search", {"query": "x"}, name=""), None),
    (request("search", {"query": "x"}, name="x" * 129), None),
    ('{"request_id": "\\ud800", "type": "search"}', None),
    (request("forget", {}), "type"),
    (request("search", {"query": "x"}, user=""), "user_id"),
    (request("search", {"query": "x"}, user="x" * 129), "user_id"),
    ('{"request_id": "q-1", "type": "search", "user_id": "tom", "data": []}', "data"),
    ('{"request_id": "q-1", "type": "search", "user_id": "\\ud800", "data": {}}', "body"),
]


@pytest.mark.parametrize(("raw", "field"), UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_is_no_question_is_put_aside_as_it_came_and_answered_as_far_as_it_says_who_asked(
    redis: "Redis",
    url: str,
    desk: MemoryWorker,
    worked: Worked,
    raw: str | bytes,
    field: str | None,
) -> None:
    await worked(LIST, desk.handle, desk.on_exhausted, raw, request("profile_get", {}, name="q-2"))
    assert (await answer(redis, "q-2")).success
    async with Redis.from_url(url) as bytewise:
        assert await bytewise.lrange(DEAD, 0, -1) == [
            raw if isinstance(raw, bytes) else raw.encode()
        ]
    if field is None:
        assert sorted(await redis.keys()) == sorted([DEAD, redis_names.ltm_response("q-2")])
    else:
        refused = await answer(redis)
        assert (refused.success, (refused.error or "").partition(":")[0]) == (False, field)


async def test_a_memory_is_added_once_when_the_first_who_took_it_never_finished(
    redis: "Redis", desk: MemoryWorker, worked: Worked
) -> None:
    tries = []

    async def dies_once(job: Job) -> None:
        tries.append(job.attempts)
        if job.attempts == 0:

            async def never(*_: object) -> bool:
                raise ConnectionError("the process ends here")

            job = Job(job.raw, job.attempts, job.work_list, never)
        await desk.handle(job)

    await worked(LIST, dies_once, desk.on_exhausted, request("add", {"content": "likes cats"}))
    assert tries == [0, 1]
    assert await redis.zcard(redis_names.user_memories("tom")) == 1
    assert len((await answer(redis)).memories) == 1


async def test_who_asked_what_nobody_could_answer_is_told(
    redis: "Redis", desk: MemoryWorker, worked: Worked
) -> None:
    async def breaks(_: Job) -> None:
        raise ValueError("cannot")

    raw = request("search", {"query": "x"})
    await worked(LIST, breaks, desk.on_exhausted, raw)
    told = await answer(redis)
    assert (told.success, told.user_id, told.error) == (
        False,
        "tom",
        "this request could not be answered",
    )
    assert await redis.lrange(DEAD, 0, -1) == [raw]
