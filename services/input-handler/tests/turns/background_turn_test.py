"""Turns that nobody waits for.

What becomes of them must be heard on `/ws/output`, by a real Valkey.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from dialog_contracts import redis_names, sse
from dialog_contracts.http import ChatRequest, FlagSet, RequestMeta
from dialog_contracts.legacy_chain import TaskResponse, UserInput
from dialog_contracts.sse import ChatEvent, ErrorEvent, SseFrame
from dialog_flags.flags import FixedFlags
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.errors import EngineRefused, LegacyUnavailable
from input_handler.legacy.client import LegacyClient
from input_handler.testing.legacy_pipeline import plenty
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    CUT,
    DONE,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from input_handler.turns.background_turn import BackgroundTurns
from input_handler.turns.begun_turn import BegunTurn
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService

REQUEST = ChatRequest(
    session_id="live-001", content="今晚玩什么？", meta=RequestMeta(request_id="r-1")
)
LOST = ErrorEvent(code="engine_lost", message="it broke off", retryable=True)


@pytest.fixture
async def legacy(redis: RedisClient, valkey_url: str) -> AsyncIterator[LegacyClient]:
    answers = LegacyResponses(valkey_url)
    answers.start()
    yield LegacyClient(redis, answers, enabled=True, timeout_s=5)
    await answers.aclose()


def unattended_of(
    client: EngineClient, redis: RedisClient, legacy: LegacyClient, flags: FlagSet | None = None
) -> BackgroundTurns:
    sync = EngineGuard(client, accept_timeout_s=10, first_token_timeout_s=10, circuit_failures=100)
    return BackgroundTurns(
        TurnService(
            sync,
            legacy,
            TurnNumberAllocator(redis),
            FixedFlags(flags or FlagSet()),
            plenty(),
        ),
        legacy,
    )


@pytest.fixture
def unattended(client: EngineClient, redis: RedisClient, legacy: LegacyClient) -> BackgroundTurns:
    return unattended_of(client, redis, legacy)


async def told(redis: RedisClient) -> list[tuple[str, str | None]]:
    """The errors that viewers of the session are told, each with the name of what came to nothing."""
    kept = [
        TaskResponse.from_json(raw)
        for raw in await redis.client.hvals(redis_names.responses("live-001"))
    ]
    return [(one.message_id, one.metadata.code) for one in kept if one.status == "error"]


async def stream(*said: ChatEvent, turn: int = 7) -> AsyncGenerator[SseFrame, None]:
    for number, event in enumerate(said):
        yield sse.frame(event, f"{turn}.{number}")


async def test_a_turn_that_is_answered_tells_no_failure(
    unattended: BackgroundTurns, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    frames = [frame.event async for frame in await unattended.start(REQUEST, None)]
    assert frames == ["control", "text-delta", "done"]
    await unattended.run("live-001", await BegunTurn.of(stream(ACCEPTED, HELLO, DONE)))
    assert await told(redis) == []


async def test_a_turn_is_asked_for_with_its_voice_as_a_file_and_the_callers_trace(
    client: EngineClient, redis: RedisClient, legacy: LegacyClient, engine: ScriptedEngine
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    streaming = unattended_of(
        client, redis, legacy, FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
    )
    frames = await streaming.start(REQUEST, f"00-{'a' * 32}-{'b' * 16}-01")
    await streaming.run("live-001", frames)
    assert engine.requests[0].meta.flags == FlagSet()
    assert engine.headers[0]["traceparent"].startswith(f"00-{'a' * 32}")


async def test_a_failure_is_told_only_where_no_word_was_said(
    unattended: BackgroundTurns, redis: RedisClient
) -> None:
    await unattended.run("live-001", await BegunTurn.of(stream(ACCEPTED, HELLO, LOST)))
    assert await told(redis) == []
    await unattended.run("live-001", await BegunTurn.of(stream(ACCEPTED, LOST)))
    assert await told(redis) == [("live-001#7", "engine_lost")]


async def test_viewers_hear_of_a_failure_as_the_answer_to_the_turn(
    unattended: BackgroundTurns, redis: RedisClient
) -> None:
    async with redis.client.pubsub() as listener:
        await listener.subscribe(redis_names.task_response("live-001"))
        await unattended.run("live-001", await BegunTurn.of(stream(ACCEPTED, LOST)))
        heard = None
        async with asyncio.timeout(2):
            while heard is None:
                heard = await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
    answer = TaskResponse.from_json(heard["data"])
    assert (answer.message_id, answer.error, answer.meta.session_id, answer.meta.turn) == (
        "live-001#7",
        "it broke off",
        "live-001",
        7,
    )


async def test_a_turn_that_has_its_answer_keeps_it(
    unattended: BackgroundTurns, redis: RedisClient
) -> None:
    answer = TaskResponse(message_id="live-001#7", task_id="live-001", text="解谜！")
    await redis.client.hset(redis_names.responses("live-001"), answer.message_id, answer.to_json())
    await unattended.run("live-001", await BegunTurn.of(stream(ACCEPTED, LOST)))
    (kept,) = await redis.client.hvals(redis_names.responses("live-001"))
    assert TaskResponse.from_json(kept) == answer


async def test_the_calls_stream_is_closed_when_the_turn_was_followed(
    unattended: BackgroundTurns,
) -> None:
    closed = []

    async def frames() -> AsyncGenerator[SseFrame, None]:
        try:
            yield sse.frame(LOST, "7.0")
            yield sse.frame(DONE, "7.1")
        finally:
            closed.append(True)

    await unattended.run("live-001", await BegunTurn.of(frames()))
    assert closed == [True]


async def test_a_turn_whose_first_and_only_event_is_its_failure_is_told_too(
    unattended: BackgroundTurns, engine: ScriptedEngine, redis: RedisClient
) -> None:
    """The engine claimed it and is gone: neither path says a word before the error."""
    await redis.client.set(redis_names.reply_claim("live-001#1"), "sync")
    engine.answers = [refusal(500, "internal")]
    await unattended.run("live-001", await unattended.start(REQUEST, None))
    assert await told(redis) == [("live-001#1", "engine_lost")]
    assert await redis.client.llen(redis_names.USER_INPUT_QUEUE) == 0


async def test_a_turn_that_the_engine_breaks_off_before_its_first_word_goes_on_in_the_chain(
    unattended: BackgroundTurns, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), CUT])]
    following = asyncio.create_task(
        unattended.run("live-001", await unattended.start(REQUEST, None))
    )
    async with asyncio.timeout(2):
        while (raw := await redis.client.rpop(redis_names.USER_INPUT_QUEUE)) is None:
            await asyncio.sleep(0.005)
    asked = UserInput.from_json(str(raw))
    assert (asked.meta.turn, asked.meta.reason) == (1, "cut")
    answer = TaskResponse(
        message_id="live-001#1", task_id="live-001", text="解谜！", meta=asked.meta
    )
    await redis.client.hset(redis_names.responses("live-001"), answer.message_id, answer.to_json())
    await redis.client.publish(redis_names.task_response("live-001"), answer.to_json())
    await asyncio.wait_for(following, 2)
    assert await told(redis) == []


async def test_a_turn_that_is_refused_or_that_nobody_takes_is_not_begun(
    unattended: BackgroundTurns,
    client: EngineClient,
    engine: ScriptedEngine,
    redis: RedisClient,
    no_redis: RedisClient,
    legacy: LegacyClient,
) -> None:
    engine.answers = [refusal(422, "invalid")]
    with pytest.raises(EngineRefused):
        await unattended.start(REQUEST, None)
    without = LegacyClient(no_redis, legacy._responses, enabled=True, timeout_s=1)
    engine.answers = [refusal(500, "internal")]
    with pytest.raises(LegacyUnavailable):
        await unattended_of(client, no_redis, without).start(REQUEST, None)
    assert await told(redis) == []
