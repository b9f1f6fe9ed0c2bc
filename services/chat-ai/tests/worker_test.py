"""From a turn in the work list to its reply in history and on the way to the voice, at a real Valkey."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest
from redis.asyncio import Redis

from chat_ai.context import TurnContext
from chat_ai.generator import GenerationFailed, ReplyGenerator
from chat_ai.worker import ChatWorker
from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import AiResponse, MemoryUpdate, TaskResponse
from dialog_contracts.limits import MAX_REPLY_CHARS
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.client import RedisClient
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics

if TYPE_CHECKING:
    from conftest import Chain


class Scripted(ReplyGenerator):
    """Answers with what was said and how much came before; or does not."""

    def __init__(self) -> None:
        self.problem: GenerationFailed | None = None
        self.asked: list[tuple[str, list[int], str]] = []

    async def generate(self, session_id: str, recent: Sequence[TurnRecord], content: str) -> str:
        self.asked.append((session_id, [record.turn for record in recent], content))
        if self.problem is not None:
            raise self.problem
        return f"You said {content}"


@pytest.fixture
def author() -> Scripted:
    return Scripted()


@pytest.fixture
def replies(link: RedisClient, author: Scripted) -> ChatWorker:
    return ChatWorker(TurnContext(link, 20), author)


async def test_a_reply_is_remembered_announced_and_goes_to_the_voice_in_one_step(
    chain: "Chain", redis: "Redis", replies: ChatWorker, author: Scripted
) -> None:
    for effect in commands.store_turns(
        "live-001", [TurnRecord(turn=n, user="q", reply="a", ts=1) for n in (1, 2)]
    ):
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]
    listener = redis.pubsub()
    await listener.subscribe(redis_names.MEMORY_UPDATES, redis_names.AI_RESPONSES)
    await chain.worked(replies.handle, chain.turn())
    assert author.asked == [("live-001", [1, 2], "hello")]
    [request] = await chain.requests()
    assert (request.message_id, request.task_id, request.text, request.user_text) == (
        "live-001#3",
        "live-001",
        "You said hello",
        "hello",
    )
    assert (request.response_channel, request.meta) == ("task_response:live-001", chain.META)
    last = (await chain.history())[-1]
    assert (last.turn, last.user, last.reply, last.path) == (3, "hello", "You said hello", "legacy")
    heard: list[dict[str, str]] = []
    async with asyncio.timeout(2):
        while len(heard) < 3:
            if (
                message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
            ) is not None:
                heard.append(message)
    halves = [
        MemoryUpdate.from_json(one["data"])
        for one in heard
        if one["channel"] == redis_names.MEMORY_UPDATES
    ]
    assert [(half.source, half.content) for half in halves] == [
        ("user", "hello"),
        ("ai", "You said hello"),
    ]
    [text] = [
        AiResponse.from_json(one["data"])
        for one in heard
        if one["channel"] == redis_names.AI_RESPONSES
    ]
    assert (text.user_id, text.text, text.correlation_id) == ("tom", "You said hello", "live-001#3")
    assert await redis.hvals(redis_names.responses("live-001")) == [], (
        "the answer comes with its voice"
    )
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_what_she_is_told_to_say_is_not_written_by_a_model(
    chain: "Chain", replies: ChatWorker, author: Scripted
) -> None:
    await chain.worked(replies.handle, chain.turn("Welcome, all of you.", verbatim=True))
    assert author.asked == []
    [request] = await chain.requests()
    assert (request.text, request.user_text) == ("Welcome, all of you.", None)
    assert [(record.user, record.reply) for record in await chain.history()] == [
        ("", "Welcome, all of you.")
    ]


@pytest.mark.parametrize(
    ("content", "lang", "told"),
    [
        ("hello", None, "she cannot find an answer now; please send the message again"),
        ("你好", None, "她暂时想不出回答，请再发送一次"),
        ("hello", "zh-CN", "她暂时想不出回答，请再发送一次"),
    ],
)
async def test_a_model_that_fails_is_an_error_that_a_person_can_read_and_the_next_turn_goes_on(
    chain: "Chain",
    redis: "Redis",
    replies: ChatWorker,
    author: Scripted,
    content: str,
    lang: str | None,
    told: str,
) -> None:
    author.problem = GenerationFailed("llm_timeout", "no complete reply within 25 s")
    counted = metrics.LEGACY_FAILURES.labels(stage="chat-ai", code="llm_timeout")
    before = counted._value.get()
    following = chain.turn("and then?", turn=4, verbatim=True)
    await redis.rpush(
        redis_names.session_queue("live-001"),
        f"live-001#3\n{chain.turn()}",
        f"live-001#4\n{following}",
    )
    await chain.worked(replies.handle, chain.turn(content, lang=lang), at_once=1)
    first = await chain.answer()
    assert (first.message_id, first.status, first.error) == ("live-001#3", "error", told)
    assert first.metadata.code == "llm_timeout"
    assert [request.message_id for request in await chain.requests()] == ["live-001#4"], (
        "the next one was answered"
    )
    [(_, row)] = cast(
        "list[tuple[str, dict[str, str]]]", await redis.xrange(redis_names.TURN_SAMPLES)
    )
    sample = TurnSample.from_json(row["sample"])
    assert (sample.turn, sample.path, sample.outcome, sample.reason) == (
        3,
        "legacy",
        "failed",
        "llm_timeout",
    )
    assert counted._value.get() == before + 1
    assert [record.turn for record in await chain.history()] == [4]


async def test_for_a_turn_that_was_told_no_nobody_writes_any_more(
    chain: "Chain", redis: "Redis", replies: ChatWorker, author: Scripted
) -> None:
    late = TaskResponse(
        message_id="live-001#3", task_id="live-001", status="error", error="too late"
    )
    await redis.hset(redis_names.responses("live-001"), "live-001#3", late.to_json())
    await redis.rpush(redis_names.session_queue("live-001"), f"live-001#3\n{chain.turn()}")
    await chain.worked(replies.handle, chain.turn())
    assert author.asked == []
    assert (await chain.answer()).error == "too late"
    assert await redis.exists(redis_names.session_queue("live-001"), redis_names.TTS_REQUESTS) == 0


async def test_what_is_no_turn_is_put_aside_and_told(
    chain: "Chain", redis: "Redis", replies: ChatWorker, author: Scripted
) -> None:
    await chain.worked(
        replies.handle, "{", chain.turn(turn=None), '{"task_id": "live-001", "content": 5}'
    )
    assert await redis.llen(redis_names.dead_letter(chain.LIST)) == 3
    assert author.asked == []
    kept = [
        TaskResponse.from_json(raw) for raw in await redis.hvals(redis_names.responses("live-001"))
    ]
    assert len(kept) == 2
    assert {response.metadata.code for response in kept} == {"invalid"}


async def test_a_turn_that_cannot_be_read_does_not_hold_up_the_sessions_next(
    chain: "Chain", redis: "Redis", replies: ChatWorker
) -> None:
    too_long = (
        '{"task_id": "live-001", "content": "'
        + "x" * (MAX_REPLY_CHARS + 1)
        + '", "meta": {"turn": 3}}'
    )
    await redis.rpush(
        redis_names.session_queue("live-001"), "live-001#3\n{}", f"live-001#4\n{chain.turn(turn=4)}"
    )
    await chain.worked(
        replies.handle, too_long, b"\xff\xfe", '{"task_id": "../../etc", "content": "x"}'
    )
    told = await chain.answer()
    assert (told.message_id, (told.error or "").partition(":")[0]) == ("live-001#3", "content")
    assert [request.message_id for request in await chain.requests()] == ["live-001#4"]
    assert await redis.llen(redis_names.dead_letter(chain.LIST)) == 3
    assert await redis.keys("task_response:*") == [redis_names.responses("live-001")]


async def test_a_turn_that_nobody_survives_is_answered(chain: "Chain") -> None:
    async def breaks(_: Job) -> None:
        raise ValueError("cannot")

    await chain.worked(breaks, chain.turn())
    told = await chain.answer()
    assert (told.message_id, told.status, told.metadata.code) == ("live-001#3", "error", "given_up")


async def test_a_reply_of_one_who_only_slept_leaves_nothing(
    chain: "Chain", redis: "Redis", replies: ChatWorker
) -> None:
    async def taken_away(_: str, __: object) -> bool:
        return False

    await replies.handle(Job(chain.turn(), 0, chain.LIST, taken_away))
    assert await redis.keys() == []
