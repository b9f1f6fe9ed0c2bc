"""From a turn in the work list to its reply in history and on the way to the voice, at a real Valkey."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

import pytest
from redis.asyncio import Redis

from chat_ai import recollection
from chat_ai.author import Author, NoReply
from chat_ai.recollection import Recollection
from chat_ai.replies import Replies
from chat_ai.settings import ChatSettings
from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import AiResponse, ChainMeta, MemoryUpdate, TaskResponse, TtsRequest, UserInput
from dialog_contracts.limits import REPLY_CHARS
from dialog_contracts.samples import TurnSample
from dialog_flags.documents import Documents
from dialog_llm.brains import Brains
from dialog_llm.errors import LlmError, ProviderError
from dialog_llm.provider import GenerationOptions, Message
from dialog_telemetry import metrics
from service_runtime import effects, refusals
from service_runtime.redis_link import RedisLink
from service_runtime.work_list import Job, WorkList

pytestmark = pytest.mark.usefixtures("quick")

Worked = Callable[..., Awaitable[None]]
LIST = redis_names.CHAT_REQUESTS
META = ChainMeta(
    session_id="live-001",
    turn=3,
    reason="unreachable",
    received_at=1.0,
    flags=FlagSet(generation=2),
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
)


class Scripted(Author):
    """Answers with what was said and how much came before; or does not."""

    def __init__(self) -> None:
        self.problem: NoReply | None = None
        self.asked: list[tuple[str, list[int], str]] = []

    async def reply(self, session_id: str, recent: Sequence[TurnRecord], content: str) -> str:
        self.asked.append((session_id, [record.turn for record in recent], content))
        if self.problem is not None:
            raise self.problem
        return f"You said {content}"


@pytest.fixture
def author() -> Scripted:
    return Scripted()


@pytest.fixture
def replies(link: RedisLink, author: Scripted) -> Replies:
    return Replies(Recollection(link, 20), author)


def turn(content: str = "hello", task: str = "live-001", **meta: object) -> str:
    known = META.model_copy(update=meta)
    return UserInput(task_id=task, user_id="tom", content=content, meta=known).to_json()


async def requests(redis: "Redis") -> list[TtsRequest]:
    return [TtsRequest.from_json(str(raw)) for raw in await redis.lrange(redis_names.TTS_REQUESTS, 0, -1)]


async def history(redis: "Redis") -> list[TurnRecord]:
    return [TurnRecord.from_json(str(raw)) for raw in await redis.zrange(redis_names.history("live-001"), 0, -1)]


async def answer(redis: "Redis") -> TaskResponse:
    [raw] = await redis.hvals(redis_names.answers("live-001"))
    return TaskResponse.from_json(raw)


async def test_a_reply_is_remembered_announced_and_goes_to_the_voice_in_one_step(
    redis: "Redis", replies: Replies, author: Scripted, worked: Worked
) -> None:
    for effect in effects.remember("live-001", [TurnRecord(turn=n, user="q", reply="a", ts=1) for n in (1, 2)]):
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]
    listener = redis.pubsub()
    await listener.subscribe(redis_names.MEMORY_UPDATES, redis_names.AI_RESPONSES)
    await worked(LIST, replies.take, refusals.given_up, turn())
    assert author.asked == [("live-001", [1, 2], "hello")]
    [request] = await requests(redis)
    assert (request.message_id, request.task_id, request.text, request.user_text) == (
        "live-001#3",
        "live-001",
        "You said hello",
        "hello",
    )
    assert (request.response_channel, request.meta) == ("task_response:live-001", META)
    last = (await history(redis))[-1]
    assert (last.turn, last.user, last.reply, last.path) == (3, "hello", "You said hello", "legacy")
    heard: list[dict[str, str]] = []
    async with asyncio.timeout(2):
        while len(heard) < 3:
            if (message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)) is not None:
                heard.append(message)
    halves = [MemoryUpdate.from_json(one["data"]) for one in heard if one["channel"] == redis_names.MEMORY_UPDATES]
    assert [(half.source, half.content) for half in halves] == [("user", "hello"), ("ai", "You said hello")]
    [text] = [AiResponse.from_json(one["data"]) for one in heard if one["channel"] == redis_names.AI_RESPONSES]
    assert (text.user_id, text.text, text.correlation_id) == ("tom", "You said hello", "live-001#3")
    assert await redis.hvals(redis_names.answers("live-001")) == [], "the answer comes with its voice"
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_what_she_is_told_to_say_is_not_written_by_a_model(
    redis: "Redis", replies: Replies, author: Scripted, worked: Worked
) -> None:
    await worked(LIST, replies.take, refusals.given_up, turn("Welcome, all of you.", verbatim=True))
    assert author.asked == []
    [request] = await requests(redis)
    assert (request.text, request.user_text) == ("Welcome, all of you.", None)
    assert [(record.user, record.reply) for record in await history(redis)] == [("", "Welcome, all of you.")]


@pytest.mark.parametrize(
    ("content", "lang", "told"),
    [
        ("hello", None, "she cannot find an answer now; please send the message again"),
        ("你好", None, "她暂时想不出回答，请再发送一次"),
        ("hello", "zh-CN", "她暂时想不出回答，请再发送一次"),
    ],
)
async def test_a_model_that_fails_is_an_error_that_a_person_can_read_and_the_next_turn_goes_on(
    redis: "Redis", replies: Replies, author: Scripted, worked: Worked, content: str, lang: str | None, told: str
) -> None:
    author.problem = NoReply("llm_timeout", "no whole reply within 25 s")
    counted = metrics.LEGACY_FAILURES.labels(stage="chat-ai", code="llm_timeout")
    before = counted._value.get()
    following = turn("and then?", turn=4, verbatim=True)
    await redis.rpush(redis_names.backlog("live-001"), f"live-001#3\n{turn()}", f"live-001#4\n{following}")
    await worked(LIST, replies.take, refusals.given_up, turn(content, lang=lang), at_once=1)
    first = await answer(redis)
    assert (first.message_id, first.status, first.error) == ("live-001#3", "error", told)
    assert first.metadata.code == "llm_timeout"
    assert [request.message_id for request in await requests(redis)] == ["live-001#4"], "the next one was answered"
    [(_, row)] = cast("list[tuple[str, dict[str, str]]]", await redis.xrange(redis_names.TURN_SAMPLES))
    sample = TurnSample.from_json(row["sample"])
    assert (sample.turn, sample.path, sample.outcome, sample.reason) == (3, "legacy", "failed", "llm_timeout")
    assert counted._value.get() == before + 1
    assert [record.turn for record in await history(redis)] == [4]


async def test_for_a_turn_that_was_told_no_nobody_writes_any_more(
    redis: "Redis", replies: Replies, author: Scripted, worked: Worked
) -> None:
    late = TaskResponse(message_id="live-001#3", task_id="live-001", status="error", error="too late")
    await redis.hset(redis_names.answers("live-001"), "live-001#3", late.to_json())
    await redis.rpush(redis_names.backlog("live-001"), f"live-001#3\n{turn()}")
    await worked(LIST, replies.take, refusals.given_up, turn())
    assert author.asked == []
    assert (await answer(redis)).error == "too late"
    assert await redis.exists(redis_names.backlog("live-001"), redis_names.TTS_REQUESTS) == 0


async def test_what_is_no_turn_is_put_aside_and_told(
    redis: "Redis", replies: Replies, author: Scripted, worked: Worked
) -> None:
    await worked(LIST, replies.take, refusals.given_up, "{", turn(turn=None), '{"task_id": "live-001", "content": 5}')
    assert await redis.llen(redis_names.dead(LIST)) == 3
    assert author.asked == []
    kept = [TaskResponse.from_json(raw) for raw in await redis.hvals(redis_names.answers("live-001"))]
    assert len(kept) == 2
    assert {response.metadata.code for response in kept} == {"invalid"}


async def test_a_turn_that_nobody_survives_is_answered(redis: "Redis", worked: Worked) -> None:
    async def breaks(_: Job) -> None:
        raise ValueError("cannot")

    await worked(LIST, breaks, refusals.given_up, turn())
    told = await answer(redis)
    assert (told.message_id, told.status, told.metadata.code) == ("live-001#3", "error", "given_up")


async def test_a_reply_of_one_who_only_slept_leaves_nothing(redis: "Redis", replies: Replies) -> None:
    async def taken_away(_: str, __: object) -> bool:
        return False

    await replies.take(Job(turn(), 0, LIST, taken_away))
    assert await redis.keys() == []


class Model:
    """Each call takes the next script, the last for ever; `None` in it is waited at for ever."""

    name = "scripted"

    def __init__(self, *scripts: Sequence[str | None | LlmError]) -> None:
        self.scripts = list(scripts)
        self.prompts: list[list[Message]] = []
        self.open = 0

    async def stream(self, messages: Sequence[Message], options: GenerationOptions) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        self.open += 1
        try:
            for piece in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
                if isinstance(piece, LlmError):
                    raise piece
                if piece is None:
                    await asyncio.sleep(3600)
                else:
                    yield piece
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


Make = Callable[..., Replies]


@pytest.fixture
async def with_model(url: str) -> AsyncIterator[Make]:
    """The whole service's work, with a scripted model behind it."""
    links: list[RedisLink] = []

    def make(model: Model, *, within_s: float = 5, context_turns: int = 20, redis_url: str = url) -> Replies:
        links.append(RedisLink(redis_url, timeout_s=2, rest_s=0.02))
        brains = Brains(ChatSettings(persona="You are Xiaoxing."), Documents(), model)
        return Replies(Recollection(links[-1], context_turns), Author(brains, within_s=within_s))

    yield make
    for link in links:
        await link.aclose()


async def remember(redis: "Redis", *records: tuple[int, str]) -> None:
    for number, path in records:
        record = TurnRecord.model_validate({"turn": number, "user": f"q{number}", "reply": f"a{number}", "ts": 1, "path": path})
        await redis.zadd(redis_names.history("live-001"), {record.to_json(): number})


async def written(redis: "Redis") -> list[str]:
    """Everything that a reply, or its failure, leaves."""
    keys = (redis_names.answers("live-001"), redis_names.TURN_SAMPLES, redis_names.TTS_REQUESTS, redis_names.SESSIONS)
    return [key for key in (*keys, redis_names.history("live-001")) if await redis.exists(key)]


async def crashed(work: WorkList) -> None:
    """It ends without a word: its processing list stays."""
    await work._feeding.close()
    await work._working.close()
    await work._redis.aclose()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_prompt_holds_the_turns_of_both_paths_as_many_as_are_wanted_and_none_before_a_reset(
    redis: "Redis", with_model: Make, worked: Worked
) -> None:
    model = Model(["x"])
    await remember(redis, (2, "legacy"), (1, "sync"))
    await worked(LIST, with_model(model).take, refusals.given_up, turn("and you?"))
    assert [(one.role, one.content) for one in model.prompts[0]] == [
        ("system", "You are Xiaoxing."),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", "and you?"),
    ]
    await worked(LIST, with_model(model, context_turns=1).take, refusals.given_up, turn("again", turn=4))
    assert [one.content for one in model.prompts[1][1:]] == ["and you?", "x", "again"]
    await redis.set(redis_names.reset_after("live-001"), "4")
    await worked(LIST, with_model(model).take, refusals.given_up, turn("who am I?", turn=5))
    assert [one.content for one in model.prompts[2][1:]] == ["who am I?"]


async def test_a_crash_before_the_end_leaves_no_trace_and_the_turn_is_written_once(
    redis: "Redis", url: str, with_model: Make
) -> None:
    model = Model(["half of", None], ["whole"])
    listener = redis.pubsub()
    await listener.subscribe(redis_names.AI_RESPONSES)
    dead = WorkList(url, LIST, "same")
    dead.start(with_model(model).take, refusals.given_up)
    await redis.lpush(LIST, turn())
    await until(lambda: model.open)
    await crashed(dead)
    assert model.open == 0
    assert await written(redis) == []
    again = WorkList(url, LIST, "same")
    again.start(with_model(model).take, refusals.given_up)
    await until(lambda: len(model.prompts) == 2 and not again.running)
    await again.aclose()
    assert [request.text for request in await requests(redis)] == ["whole"]
    assert [record.reply for record in await history(redis)] == ["whole"]
    assert await redis.exists(LIST, redis_names.processing(LIST, "same"), redis_names.attempts(LIST)) == 0
    await redis.publish(redis_names.AI_RESPONSES, "end")
    heard: list[str] = []
    async with asyncio.timeout(2):
        while "end" not in heard:
            if (message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)) is not None:
                heard.append(str(message["data"]))
    assert len(heard) == 2, "announced once"
    await listener.aclose()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([ProviderError("scripted", "rate_limited")], "llm_busy"),
        (["half of it, then ", ProviderError("scripted", "cut_stream")], "llm_cut"),
        ([None], "llm_timeout"),
        (["half of it, then ", None], "llm_timeout"),
    ],
    ids=["error", "cut", "silent", "stuck"],
)
async def test_of_a_reply_that_does_not_come_whole_nothing_is_spoken_and_there_is_one_answer(
    redis: "Redis", with_model: Make, worked: Worked, script: list[str | None | LlmError], code: str
) -> None:
    model = Model(script)
    await worked(LIST, with_model(model, within_s=0.1).take, refusals.given_up, turn())
    assert model.open == 0, "the vendor's connection is closed"
    told = await answer(redis)
    assert (told.message_id, told.status, told.text, told.metadata.code) == ("live-001#3", "error", "", code)
    assert await written(redis) == [redis_names.answers("live-001"), redis_names.TURN_SAMPLES]
    assert await redis.xlen(redis_names.TURN_SAMPLES) == 1


async def test_while_redis_cannot_say_what_was_before_no_model_is_asked(
    redis: "Redis", url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recollection, "LOOK_AGAIN_S", 0.02)
    model, link, there = Model(["x"]), RedisLink("redis://127.0.0.1:1/0", rest_s=0.02), RedisLink(url, timeout_s=2)
    away = link.client
    await remember(redis, (1, "sync"), (2, "legacy"))
    replies = Replies(Recollection(link, 20), Author(Brains(ChatSettings(), Documents(), model), within_s=5))
    work = WorkList(url, LIST, "one")
    work.start(replies.take, refusals.given_up)
    await redis.lpush(LIST, turn())
    await until(lambda: link.down_because)
    assert model.prompts == []
    assert await redis.exists(redis_names.TTS_REQUESTS, redis_names.answers("live-001")) == 0
    link.client = there.client
    await until(lambda: model.prompts and not work.running)
    await work.aclose()
    assert [one.content for one in model.prompts[0][1:]] == ["q1", "a1", "q2", "a2", "hello"]
    assert [record.turn for record in await history(redis)] == [1, 2, 3]
    await away.aclose()
    await there.aclose()


async def test_a_turn_that_cannot_be_read_does_not_hold_up_the_sessions_next(
    redis: "Redis", replies: Replies, worked: Worked
) -> None:
    too_long = '{"task_id": "live-001", "content": "' + "x" * (REPLY_CHARS + 1) + '", "meta": {"turn": 3}}'
    await redis.rpush(redis_names.backlog("live-001"), "live-001#3\n{}", f"live-001#4\n{turn(turn=4)}")
    await worked(LIST, replies.take, refusals.given_up, too_long, b"\xff\xfe", '{"task_id": "../../etc", "content": "x"}')
    told = await answer(redis)
    assert (told.message_id, (told.error or "").partition(":")[0]) == ("live-001#3", "content")
    assert [request.message_id for request in await requests(redis)] == ["live-001#4"]
    assert await redis.llen(redis_names.dead(LIST)) == 3
    assert await redis.keys("task_response:*") == [redis_names.answers("live-001")]
