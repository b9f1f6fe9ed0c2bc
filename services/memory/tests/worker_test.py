"""What people said, through the first list of the chain, in a real Valkey."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import limits, redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from dialog_redis.client import RedisClient
from dialog_redis.legacy import failures
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.job import Job
from dialog_redis.work_queue.store import QueueStore
from memory.viewer_history import ViewerHistory
from memory.worker import OLDER_PRODUCER, InputWorker

Worked = Callable[..., Awaitable[None]]
Take = Callable[..., Awaitable[None]]
LIST, NEXT = redis_names.USER_INPUT_QUEUE, redis_names.CHAT_REQUESTS
DEAD = redis_names.dead_letter(LIST)


@pytest.fixture
def intake(link: RedisClient) -> InputWorker:
    return InputWorker(link, ViewerHistory(3, 100))


@pytest.fixture
def take(intake: InputWorker, worked: Worked) -> Take:
    """Messages go through memory, oldest first, one at a time as the service takes them."""

    async def through(*messages: UserInput | str | bytes) -> None:
        raws = [one.to_json() if isinstance(one, UserInput) else one for one in messages]
        await worked(LIST, intake.handle, failures.exhausted, *raws, at_once=1)

    return through


def older(content: object = "今晚玩什么？", **more: Any) -> str:
    """A message as services before this system wrote them."""
    return json.dumps(
        {"task_id": "live-001", "type": "text", "user_id": "tom", "content": content, **more}
    )


def turn(number: int, session: str = "live-001", **more: Any) -> UserInput:
    meta = ChainMeta(session_id=session, turn=number, **more)
    return UserInput(task_id=session, user_id="tom", content=f"{session} {number}", meta=meta)


async def passed_on(redis: "Redis") -> list[UserInput]:
    """What chat-ai would take now, in the order in which it would take it."""
    return [UserInput.from_json(raw) for raw in reversed(await redis.lrange(NEXT, 0, -1))]


def names(messages: list[UserInput]) -> list[str]:
    return [f"{one.meta.session_id}#{one.meta.turn}" for one in messages]


async def answers(redis: "Redis", task: str = "live-001") -> list[TaskResponse]:
    return [TaskResponse.from_json(raw) for raw in await redis.hvals(redis_names.responses(task))]


async def test_a_message_of_an_older_producer_gets_the_sessions_next_number_and_is_claimed(
    redis: "Redis", take: Take
) -> None:
    await redis.set(redis_names.turn_counter("live-001"), 41)
    await take(older())
    (message,) = await passed_on(redis)
    assert (message.task_id, message.content, message.user_id) == (
        "live-001",
        "今晚玩什么？",
        "tom",
    )
    assert (message.meta.session_id, message.meta.turn, message.meta.reason) == (
        "live-001",
        42,
        OLDER_PRODUCER,
    )
    assert message.meta.received_at is not None
    assert await redis.get(redis_names.reply_claim("live-001#42")) == "legacy"
    assert (
        0 < await redis.ttl(redis_names.reply_claim("live-001#42")) <= redis_names.REPLY_CLAIM_TTL_S
    )
    assert 0 < await redis.ttl(redis_names.turn_counter("live-001")) <= redis_names.SESSION_TTL_S


async def test_what_an_older_producer_says_about_a_message_stays(
    redis: "Redis", take: Take
) -> None:
    meta = {
        "lang": "zh",
        "provider": "direct_upload",
        "received_at": 5.0,
        "reason": "cut",
        "session_id": "room",
    }
    await take(older(source="asr", meta=meta))
    (message,) = await passed_on(redis)
    assert (message.source, message.meta.lang, message.meta.provider) == (
        "asr",
        "zh",
        "direct_upload",
    )
    assert (message.meta.received_at, message.meta.reason) == (5.0, "cut")
    assert names([message]) == ["room#1"]


async def test_a_number_that_the_engine_has_claimed_is_passed_over(
    redis: "Redis", take: Take
) -> None:
    await redis.set(redis_names.reply_claim("live-001#1"), "sync")
    await take(older())
    assert names(await passed_on(redis)) == ["live-001#2"]
    assert await redis.get(redis_names.reply_claim("live-001#1")) == "sync"


async def test_the_same_words_said_twice_are_two_turns(redis: "Redis", take: Take) -> None:
    await take(older("hi"), older("hi"))
    assert await redis.get(redis_names.turn_counter("live-001")) == "2"
    assert await redis.llen(redis_names.session_queue("live-001")) == 2
    assert await redis.keys("session:live-001:request:*") == []


async def test_a_message_that_is_taken_anew_keeps_its_number_and_is_filed_once(
    redis: "Redis", intake: InputWorker, worked: Worked
) -> None:
    tried = []

    async def dies_once(job: Job) -> None:
        tried.append(job.attempts)
        if job.attempts == 0:

            async def never(*_: object) -> bool:
                raise ConnectionError("the process ends here")

            job = Job(job.raw, job.attempts, job.work_list, never)
        await intake.handle(job)

    await worked(LIST, dies_once, failures.exhausted, older())
    assert tried == [0, 1]
    assert names(await passed_on(redis)) == ["live-001#1"]
    assert await redis.get(redis_names.turn_counter("live-001")) == "1"
    assert await redis.llen(redis_names.viewer_context("tom")) == 1


async def test_a_message_with_a_turn_is_passed_on_as_it_is(redis: "Redis", take: Take) -> None:
    sent = turn(
        7,
        request_id="r-1",
        flags=FlagSet(generation=3),
        reason="cut",
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    )
    await take(sent)
    assert await passed_on(redis) == [sent]
    assert (
        await redis.exists(
            redis_names.turn_counter("live-001"), redis_names.reply_claim("live-001#7")
        )
        == 0
    )


async def test_what_was_said_is_in_the_viewers_list_newest_last(redis: "Redis", take: Take) -> None:
    await take(older("a"), older("b"))
    rows = [json.loads(row) for row in await redis.lrange(redis_names.viewer_context("tom"), 0, -1)]
    assert [(row["message_id"], row["content"]) for row in rows] == [
        ("live-001#1:user", "a"),
        ("live-001#2:user", "b"),
    ]


async def test_what_is_spoken_verbatim_was_said_by_nobody(redis: "Redis", take: Take) -> None:
    await take(turn(1, verbatim=True))
    assert names(await passed_on(redis)) == ["live-001#1"]
    assert await redis.keys(redis_names.viewer_context("*")) == []


async def test_of_a_session_one_turn_is_passed_on_at_a_time_in_the_order_of_arrival(
    redis: "Redis", take: Take, url: str
) -> None:
    await take(turn(1), turn(2), turn(1, "other"), turn(3))
    assert names(await passed_on(redis)) == ["live-001#1", "other#1"]
    for number in (1, 2, 3):
        await redis.delete(NEXT)
        work = QueueStore(url, "answered", "one", lease_s=5)
        await redis.lpush(redis_names.processing("answered", "one"), "x")
        await work.complete("x", [commands.advance("live-001", f"live-001#{number}", NEXT)])
        await work.aclose()
        assert names(await passed_on(redis)) == ([f"live-001#{number + 1}"] if number < 3 else [])
    assert await redis.exists(redis_names.session_queue("live-001")) == 0


async def test_many_messages_of_one_session_keep_their_order(redis: "Redis", take: Take) -> None:
    await take(*(turn(number) for number in range(1, 41)))
    waiting = await redis.lrange(redis_names.session_queue("live-001"), 0, -1)
    assert [str(entry).partition("\n")[0] for entry in waiting] == [
        f"live-001#{number}" for number in range(1, 41)
    ]


UNREADABLE: list[tuple[str | bytes, list[tuple[str, str]]]] = [
    (b"\xff\xfe", []),
    ("{", []),
    ("[]", []),
    (older(task_id="../../etc/passwd"), []),
    (older(task_id="live 001"), []),
    (older(task_id=5), []),
    (older(content=" \n"), [("content", "m-1")]),
    (older(content=None), [("content", "m-1")]),
    (older(content="x" * (limits.MAX_REPLY_CHARS + 1)), [("content", "m-1")]),
    (older(type="image"), [("type", "m-1")]),
    (older(input_file="/etc/passwd"), [("input_file", "m-1")]),
    (older(source="nobody"), [("source", "m-1")]),
    (older(timestamp="yesterday"), [("timestamp", "m-1")]),
    (older(meta={"turn": 0}), [("meta.turn", "m-1")]),
    (older(meta={"turn": limits.MAX_TURN + 1}), [("meta.turn", "m-1")]),
    (older(meta={"session_id": "../x", "turn": 3}), [("meta.session_id", "live-001#3")]),
    (older(meta={"lang": "?", "turn": 3}), [("meta.lang", "live-001#3")]),
]


@pytest.mark.parametrize(("raw", "told"), UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read_is_put_aside_as_it_came_and_told_as_far_as_it_says_whose_it_is(
    redis: "Redis", url: str, take: Take, raw: str | bytes, told: list[tuple[str, str]]
) -> None:
    if isinstance(raw, str) and raw.endswith("}"):
        raw = f'{raw[:-1]}, "message_id": "m-1"}}'
    await take(raw, turn(9, "other").model_copy(update={"user_id": "anna"}))
    assert names(await passed_on(redis)) == ["other#9"], "the rest goes on"
    async with Redis.from_url(url) as bytewise:
        assert await bytewise.lrange(DEAD, 0, -1) == [
            raw if isinstance(raw, bytes) else raw.encode()
        ]
    kept = await answers(redis)
    assert [((one.error or "").partition(":")[0], one.message_id) for one in kept] == told
    assert all((one.status, one.metadata.code) == ("error", "invalid") for one in kept)
    assert await redis.keys("task_response:*") == (
        [redis_names.responses("live-001")] if told else []
    )
    assert (
        await redis.exists(redis_names.turn_counter("live-001"), redis_names.viewer_context("tom"))
        == 0
    )


async def test_a_message_that_nobody_survives_is_told(redis: "Redis", worked: Worked) -> None:
    async def breaks(_: Job) -> None:
        raise ValueError("cannot")

    await worked(LIST, breaks, failures.exhausted, turn(3).to_json())
    (answer,) = await answers(redis)
    assert (answer.message_id, answer.status, answer.metadata.code) == (
        "live-001#3",
        "error",
        "given_up",
    )
    assert await redis.llen(DEAD) == 1


async def test_while_redis_does_not_answer_a_number_is_waited_for(
    redis: "Redis", link: RedisClient, no_url: str, worked: Worked
) -> None:
    late = RedisClient(no_url, timeout_s=1, cooldown_s=0.02)
    away = late.client
    intake = InputWorker(late, ViewerHistory(3, 100))
    working = asyncio.ensure_future(worked(LIST, intake.handle, failures.exhausted, older()))
    async with asyncio.timeout(2):
        while late.unavailable_reason is None:
            await asyncio.sleep(0.005)
    assert await passed_on(redis) == []
    assert await redis.llen(redis_names.processing(LIST, "one")) == 1
    late.client = link.client
    await working
    assert names(await passed_on(redis)) == ["live-001#1"]
    await away.aclose()
