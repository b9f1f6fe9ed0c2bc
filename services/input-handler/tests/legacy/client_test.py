"""The other path against a real Valkey; the chain is played by the test."""

import asyncio
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import ChatRequest, FlagSet, RequestMeta
from dialog_contracts.legacy_chain import ResponseMetadata, TaskResponse, UserInput
from dialog_contracts.sse import ErrorEvent
from dialog_contracts.turn_sample import TurnSample
from dialog_flags.flags import FixedFlags
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.errors import LegacyUnavailable
from input_handler.legacy.client import LegacyClient
from input_handler.testing.legacy_pipeline import (
    REQUEST,
    LegacyPipeline,
    call_turn,
    done,
    events_of,
    plenty,
    text,
    turn_service,
)
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService

OFF = FlagSet(ENABLE_SYNC_CORE=False)


async def test_with_the_main_path_off_the_chain_answers_and_the_caller_hears_it_as_a_turn(
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
    chain: LegacyPipeline,
    engine: ScriptedEngine,
) -> None:
    asking = asyncio.create_task(call_turn(turn_service(client, redis, answers, OFF)))
    asked = await chain.next()
    assert (asked.task_id, asked.content, asked.source, asked.meta.lang) == (
        "live-001",
        "今晚玩什么？",
        "user",
        "zh",
    )
    assert (asked.meta.session_id, asked.meta.turn, asked.meta.request_id, asked.meta.reason) == (
        "live-001",
        1,
        "r-1",
        "sync_core_off",
    )
    assert asked.meta.flags == OFF
    await chain.answer(asked)
    frames = await asking
    assert events_of(frames) == [
        ("1.0", "control"),
        ("1.1", "text-delta"),
        ("1.2", "text-delta"),
        ("1.3", "done"),
    ]
    assert text(frames) == "解谜！"
    stats = done(frames).stats
    assert (stats.path, stats.fallback_reason, stats.voice) == ("legacy", "sync_core_off", "espeak")
    assert engine.requests == []
    assert await redis.client.get(redis_names.reply_claim("live-001#1")) == "legacy"


async def test_a_turn_that_the_other_path_has_is_waited_for_and_not_queued_again(
    caller: TurnService, engine: ScriptedEngine, chain: LegacyPipeline, redis: RedisClient
) -> None:
    await redis.client.set(redis_names.reply_claim("live-001#1"), "legacy")
    engine.answers = [
        ScriptedAnswer(
            steps=[events(1, ACCEPTED, ErrorEvent(code="answered_elsewhere", message="m"))]
        )
    ]
    asking = asyncio.create_task(call_turn(caller))
    await asyncio.sleep(0.1)
    assert await chain.queued() == 0
    asked = UserInput(
        task_id="live-001", content="x", meta={"session_id": "live-001", "turn": 1, "reason": "cut"}
    )
    await chain.answer(asked)
    frames = await asking
    assert text(frames) == "解谜！"
    assert done(frames).stats.fallback_reason == "cut"


async def test_the_same_message_again_gets_the_same_answer_without_asking_anybody(
    caller: TurnService, engine: ScriptedEngine, chain: LegacyPipeline
) -> None:
    engine.answers = [refusal(500, "internal")]
    asking = asyncio.create_task(call_turn(caller))
    await chain.answer(await chain.next())
    first = await asking
    again = await call_turn(caller)
    assert events_of(again) == events_of(first)
    assert text(again) == text(first)
    assert len(engine.requests) == 1
    assert await chain.queued() == 0


async def test_resuming_a_turn_of_the_chain_gives_what_is_missing(
    caller: TurnService, engine: ScriptedEngine, chain: LegacyPipeline
) -> None:
    engine.answers = [refusal(500, "internal")]
    asking = asyncio.create_task(call_turn(caller))
    await chain.answer(await chain.next())
    await asking
    engine.answers = [refusal(409, "turn_lost")]
    assert events_of(await call_turn(caller, last_event_id="1.1")) == [
        ("1.2", "text-delta"),
        ("1.3", "done"),
    ]


async def test_two_callers_of_one_message_get_one_turn(
    client: EngineClient, redis: RedisClient, answers: LegacyResponses, chain: LegacyPipeline
) -> None:
    callers = [turn_service(client, redis, answers, OFF) for _ in range(2)]
    asking = [asyncio.create_task(call_turn(caller)) for caller in callers]
    asked = await chain.next()
    await asyncio.sleep(0.1)
    assert await chain.queued() == 0
    await chain.answer(asked)
    assert [text(await one) for one in asking] == ["解谜！", "解谜！"]


async def test_an_error_of_the_chain_is_one_clear_error(
    client: EngineClient, redis: RedisClient, answers: LegacyResponses, chain: LegacyPipeline
) -> None:
    asking = asyncio.create_task(call_turn(turn_service(client, redis, answers, OFF)))
    metadata = ResponseMetadata(code="llm_failed")
    await chain.answer(
        await chain.next(),
        "",
        status="error",
        error="no model answers",
        metadata=metadata,
        audio=None,
    )
    frames = await asking
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.message, error.retryable) == ("llm_failed", "no model answers", True)


async def test_an_answer_that_does_not_come_is_an_error_and_a_late_one_is_not_a_second_reply(
    client: EngineClient, redis: RedisClient, answers: LegacyResponses, chain: LegacyPipeline
) -> None:
    heard: list[TaskResponse] = []
    answers.subscribe("live-001", heard.append)
    frames = await call_turn(turn_service(client, redis, answers, OFF, timeout_s=0.3))
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.retryable) == ("legacy_timeout", True)
    await chain.answer(await chain.next(), "too late")
    await asyncio.sleep(0.1)
    assert [(response.status, response.metadata.code) for response in heard] == [
        ("error", "legacy_timeout")
    ]
    kept = await redis.client.hvals(redis_names.responses("live-001"))
    assert [TaskResponse.from_json(one).status for one in kept] == ["error"]


async def test_an_answer_that_was_kept_without_a_sound_stands_when_its_time_is_up(
    client: EngineClient, redis: RedisClient, chain: LegacyPipeline, valkey_url: str
) -> None:
    deaf = LegacyResponses(valkey_url)
    asking = asyncio.create_task(call_turn(turn_service(client, redis, deaf, OFF, timeout_s=0.3)))
    await chain.answer(await chain.next())
    assert text(await asking) == "解谜！"
    await deaf.aclose()


async def test_without_redis_there_is_one_clear_error(
    client: EngineClient, no_redis: RedisClient, answers: LegacyResponses
) -> None:
    with pytest.raises(LegacyUnavailable, match="Redis does not answer") as error:
        await call_turn(turn_service(client, no_redis, answers, OFF))
    assert (error.value.status, error.value.body.code, error.value.retry_after_s) == (
        503,
        "legacy_unavailable",
        1,
    )


async def test_switched_off_it_queues_nothing_and_the_turn_still_counts(
    client: EngineClient, redis: RedisClient, answers: LegacyResponses, chain: LegacyPipeline
) -> None:
    legacy = LegacyClient(redis, answers, enabled=False, timeout_s=1)
    caller = TurnService(
        EngineGuard(client, accept_timeout_s=1, first_token_timeout_s=1),
        legacy,
        TurnNumberAllocator(redis),
        FixedFlags(OFF),
        plenty(),
    )
    with pytest.raises(LegacyUnavailable, match="switched off"):
        await call_turn(caller)
    assert await chain.queued() == 0
    entries: Any = await redis.client.xrange(redis_names.TURN_SAMPLES)
    ((_, fields),) = entries
    sample = TurnSample.from_json(fields["sample"])
    assert (sample.path, sample.outcome, sample.reason) == ("none", "failed", "sync_core_off")


async def test_say_is_spoken_as_it_is_and_reset_is_remembered(
    client: EngineClient, redis: RedisClient, answers: LegacyResponses, chain: LegacyPipeline
) -> None:
    caller = turn_service(client, redis, answers, OFF)
    say = ChatRequest(
        session_id="live-001", type="COMMAND", content="SAY", meta=RequestMeta(text="欢迎！")
    )
    asking = asyncio.create_task(call_turn(caller, say))
    asked = await chain.next()
    assert (asked.content, asked.meta.verbatim) == ("欢迎！", True)
    await chain.answer(asked)
    await asking
    frames = await call_turn(
        caller, ChatRequest(session_id="live-001", type="COMMAND", content="RESET")
    )
    assert [frame.event for frame in frames] == ["control", "done"]
    assert await redis.client.get(redis_names.reset_after("live-001")) == "2"
    assert await chain.queued() == 0


async def test_a_caller_that_speaks_the_older_dialect_gets_its_voice_as_a_file(
    caller: TurnService,
    engine: ScriptedEngine,
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
) -> None:
    flags = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True, generation=7)
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    streaming = turn_service(client, redis, answers, flags)
    [frame async for frame in streaming.stream(REQUEST, whole_file=True)]
    assert engine.requests[0].meta.flags == FlagSet(generation=7)


async def test_the_counter_knows_the_number_of_a_turn_that_the_chain_has(
    caller: TurnService,
    engine: ScriptedEngine,
    redis: RedisClient,
    no_redis: RedisClient,
    chain: LegacyPipeline,
) -> None:
    """It was given while Redis was late; other replicas count there, too."""
    engine.answers = [refusal(500, "internal")]
    caller._numbers = TurnNumberAllocator(no_redis)
    asking = asyncio.create_task(call_turn(caller))
    await chain.answer(await chain.next())
    assert events_of(await asking)[0] == ("1.0", "control")
    assert await redis.client.get(redis_names.turn_counter("live-001")) == "1"
    assert await redis.client.ttl(redis_names.turn_counter("live-001")) > 0
    assert (await TurnNumberAllocator(redis).allocate("live-001", "another")).turn == 2
