"""A reply is written by a model with all that was said before, whole or not at all, and once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from chat_ai import context
from chat_ai.context import TurnContext
from chat_ai.generator import ReplyGenerator
from chat_ai.settings import ChatSettings
from chat_ai.worker import ChatWorker
from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm.errors import LlmError, ProviderError
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.session_models import SessionModels
from dialog_redis.client import RedisClient
from dialog_redis.legacy import failures
from dialog_redis.work_queue.queue import WorkQueue

if TYPE_CHECKING:
    from conftest import Chain

Crash = Callable[[WorkQueue], Awaitable[None]]
Make = Callable[..., ChatWorker]


class Model:
    """Each call takes the next script, the last for ever; `None` in it is waited at for ever."""

    name = "scripted"

    def __init__(self, *scripts: Sequence[str | None | LlmError]) -> None:
        self.scripts = list(scripts)
        self.prompts: list[list[Message]] = []
        self.open = 0

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
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


@pytest.fixture
async def with_model(url: str) -> AsyncIterator[Make]:
    """The whole service's work, with a scripted model behind it."""
    links: list[RedisClient] = []

    def make(
        model: Model, *, within_s: float = 5, context_turns: int = 20, redis_url: str = url
    ) -> ChatWorker:
        links.append(RedisClient(redis_url, timeout_s=2, cooldown_s=0.02))
        brains = SessionModels(ChatSettings(persona="You are Xiaoxing."), FlagDocuments(), model)
        return ChatWorker(
            TurnContext(links[-1], context_turns), ReplyGenerator(brains, within_s=within_s)
        )

    yield make
    for link in links:
        await link.aclose()


async def remember(redis: "Redis", *records: tuple[int, str]) -> None:
    for number, path in records:
        record = TurnRecord.model_validate(
            {"turn": number, "user": f"q{number}", "reply": f"a{number}", "ts": 1, "path": path}
        )
        await redis.zadd(redis_names.history("live-001"), {record.to_json(): number})


async def written(redis: "Redis") -> list[str]:
    """Everything that a reply, or its failure, leaves."""
    keys = (
        redis_names.responses("live-001"),
        redis_names.TURN_SAMPLES,
        redis_names.TTS_REQUESTS,
        redis_names.SESSIONS,
    )
    return [key for key in (*keys, redis_names.history("live-001")) if await redis.exists(key)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_prompt_holds_the_turns_of_both_paths_as_many_as_are_wanted_and_none_before_a_reset(
    chain: "Chain", redis: "Redis", with_model: Make
) -> None:
    model = Model(["x"])
    await remember(redis, (2, "legacy"), (1, "sync"))
    await chain.worked(with_model(model).handle, chain.turn("and you?"))
    assert [(one.role, one.content) for one in model.prompts[0]] == [
        ("system", "You are Xiaoxing."),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", "and you?"),
    ]
    await chain.worked(with_model(model, context_turns=1).handle, chain.turn("again", turn=4))
    assert [one.content for one in model.prompts[1][1:]] == ["and you?", "x", "again"]
    await redis.set(redis_names.reset_after("live-001"), "4")
    await chain.worked(with_model(model).handle, chain.turn("who am I?", turn=5))
    assert [one.content for one in model.prompts[2][1:]] == ["who am I?"]


async def test_a_crash_before_the_end_leaves_no_trace_and_the_turn_is_written_once(
    chain: "Chain", redis: "Redis", url: str, with_model: Make, crash: Crash
) -> None:
    model = Model(["half of", None], ["whole"])
    listener = redis.pubsub()
    await listener.subscribe(redis_names.AI_RESPONSES)
    dead = WorkQueue(url, chain.LIST, "same")
    dead.start(with_model(model).handle, failures.exhausted)
    await redis.lpush(chain.LIST, chain.turn())
    await until(lambda: model.open)
    await crash(dead)
    assert model.open == 0
    assert await written(redis) == []
    again = WorkQueue(url, chain.LIST, "same")
    again.start(with_model(model).handle, failures.exhausted)
    await until(lambda: len(model.prompts) == 2 and not again.running)
    await again.aclose()
    assert [request.text for request in await chain.requests()] == ["whole"]
    assert [record.reply for record in await chain.history()] == ["whole"]
    assert (
        await redis.exists(
            chain.LIST, redis_names.processing(chain.LIST, "same"), redis_names.attempts(chain.LIST)
        )
        == 0
    )
    await redis.publish(redis_names.AI_RESPONSES, "end")
    heard: list[str] = []
    async with asyncio.timeout(2):
        while "end" not in heard:
            if (
                message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
            ) is not None:
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
    chain: "Chain", redis: "Redis", with_model: Make, script: list[str | None | LlmError], code: str
) -> None:
    model = Model(script)
    await chain.worked(with_model(model, within_s=0.1).handle, chain.turn())
    assert model.open == 0, "the vendor's connection is closed"
    told = await chain.answer()
    assert (told.message_id, told.status, told.text, told.metadata.code) == (
        "live-001#3",
        "error",
        "",
        code,
    )
    assert await written(redis) == [redis_names.responses("live-001"), redis_names.TURN_SAMPLES]
    assert await redis.xlen(redis_names.TURN_SAMPLES) == 1


async def test_while_redis_cannot_say_what_was_before_no_model_is_asked(
    chain: "Chain",
    redis: "Redis",
    url: str,
    no_url: str,
    link: RedisClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "RETRY_PAUSE_S", 0.02)
    model, late = Model(["x"]), RedisClient(no_url, cooldown_s=0.02)
    away = late.client
    await remember(redis, (1, "sync"), (2, "legacy"))
    replies = ChatWorker(
        TurnContext(late, 20),
        ReplyGenerator(SessionModels(ChatSettings(), FlagDocuments(), model), within_s=5),
    )
    work = WorkQueue(url, chain.LIST, "one")
    work.start(replies.handle, failures.exhausted)
    await redis.lpush(chain.LIST, chain.turn())
    await until(lambda: late.unavailable_reason)
    assert model.prompts == []
    assert await redis.exists(redis_names.TTS_REQUESTS, redis_names.responses("live-001")) == 0
    late.client = link.client
    await until(lambda: model.prompts and not work.running)
    await work.aclose()
    assert [one.content for one in model.prompts[0][1:]] == ["q1", "a1", "q2", "a2", "hello"]
    assert [record.turn for record in await chain.history()] == [1, 2, 3]
    await away.aclose()
