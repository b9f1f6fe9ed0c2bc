"""Both paths against a real Valkey.

Which of them answers, once, and in the order in which things were said.
"""

import asyncio
import time
from typing import TypedDict

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, RequestMeta
from dialog_contracts.legacy_chain import ChainMeta, UserInput
from dialog_contracts.sse import ErrorEvent
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from input_handler.engine.client import EngineClient
from input_handler.testing.legacy_pipeline import (
    REQUEST,
    LegacyPipeline,
    call_turn,
    done,
    events_of,
    turn_service,
)
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    CUT,
    DONE,
    HANG,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from input_handler.turns.turn_service import TurnService


class Limits(TypedDict, total=False):
    accept_timeout_s: float
    first_token_timeout_s: float


LIMITS: dict[str, Limits] = {
    "not_accepted_in_time": {"accept_timeout_s": 0.2},
    "no_delta_in_time": {"first_token_timeout_s": 0.3},
}


def entry(age_s: float = 0.0) -> str:
    """Turn 1 in the session's backlog, asked so long ago."""
    meta = ChainMeta(session_id="live-001", turn=1, received_at=time.time() - age_s)
    return (
        "live-001#1\n"
        + UserInput(task_id="live-001", content="?", timestamp=1.0, meta=meta).to_json()
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ScriptedAnswer(wait_s=0.4), "not_accepted_in_time"),
        (ScriptedAnswer(steps=[events(1, ACCEPTED), HANG]), "no_delta_in_time"),
        (ScriptedAnswer(steps=[events(1, ACCEPTED), CUT]), "cut"),
        (refusal(500, "internal"), "status_500"),
        (refusal(429, "overloaded"), "overloaded"),
        (
            ScriptedAnswer(steps=[events(1, ACCEPTED, ErrorEvent(code="llm_failed", message="m"))]),
            "engine_llm_failed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_turn_that_the_engine_fails_before_its_first_word_is_answered_by_the_chain_under_the_same_name(
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
    engine: ScriptedEngine,
    chain: LegacyPipeline,
    answer: ScriptedAnswer,
    reason: str,
) -> None:
    engine.answers = [answer]
    limits = LIMITS.get(reason, Limits())
    asking = asyncio.create_task(
        call_turn(turn_service(client, redis, answers, FlagSet(), **limits))
    )
    asked = await chain.next()
    assert (asked.meta.turn, asked.meta.reason) == (engine.requests[0].turn, reason)
    await chain.answer(asked)
    frames = await asking
    assert [frame.event for frame in frames] == ["control", "text-delta", "text-delta", "done"]
    assert len({frame.id for frame in frames}) == len(frames)
    assert done(frames).stats.fallback_reason == reason
    assert await chain.queued() == 0


async def test_after_the_first_word_the_chain_is_never_asked(
    caller: TurnService, engine: ScriptedEngine, chain: LegacyPipeline, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), 0.01, CUT])]
    frames = await call_turn(caller)
    assert [frame.event for frame in frames] == ["control", "text-delta", "error"]
    assert await chain.queued() == 0
    assert await redis.client.get(redis_names.reply_claim("live-001#1")) is None


@pytest.mark.parametrize(
    ("given_up", "limits", "resumed_after"),
    [
        (ScriptedAnswer(wait_s=0.4), LIMITS["not_accepted_in_time"], None),
        (ScriptedAnswer(steps=[events(1, ACCEPTED), CUT]), {}, "1.0"),
        (ScriptedAnswer(steps=[events(1, ACCEPTED), HANG]), LIMITS["no_delta_in_time"], "1.0"),
    ],
)
async def test_an_engine_that_was_given_up_too_early_is_heard_after_all(
    client: EngineClient,
    answers: LegacyResponses,
    engine: ScriptedEngine,
    chain: LegacyPipeline,
    redis: RedisClient,
    given_up: ScriptedAnswer,
    limits: Limits,
    resumed_after: str | None,
) -> None:
    caller = turn_service(client, redis, answers, FlagSet(), **limits)
    await redis.client.set(redis_names.reply_claim("live-001#1"), "sync")
    rest = events(1, ACCEPTED, HELLO, DONE)
    if resumed_after is not None:
        rest = rest.removeprefix(events(1, ACCEPTED))
    # The second time it may take longer to accept than a turn that could go elsewhere.
    engine.answers = [
        given_up,
        ScriptedAnswer(steps=[CUT]),
        ScriptedAnswer(wait_s=0.5, steps=[rest]),
    ]
    frames = await call_turn(caller)
    assert events_of(frames) == [("1.0", "control"), ("1.1", "text-delta"), ("1.2", "done")]
    assert [headers.get("last-event-id") for headers in engine.headers] == [
        None,
        resumed_after,
        resumed_after,
    ]
    assert len({request.meta.request_id for request in engine.requests}) == 1, (
        "the same message, not another"
    )
    assert await chain.queued() == 0


async def test_an_engine_that_claimed_a_turn_and_is_gone_ends_it_in_one_clear_error(
    caller: TurnService, engine: ScriptedEngine, chain: LegacyPipeline, redis: RedisClient
) -> None:
    await redis.client.set(redis_names.reply_claim("live-001#1"), "sync")
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), CUT]), refusal(404, "turn_lost")]
    frames = await call_turn(caller)
    assert events_of(frames) == [("1.0", "control"), ("1.1", "error")]
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.retryable) == ("engine_lost", True)
    assert await chain.queued() == 0


async def test_a_turn_does_not_overtake_the_one_before_it_that_the_chain_still_answers(
    caller: TurnService, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    await redis.client.rpush(redis_names.session_queue("live-001"), entry())
    asking = asyncio.create_task(call_turn(caller))
    await asyncio.sleep(0.1)
    assert engine.requests == []
    await redis.client.delete(redis_names.session_queue("live-001"))
    assert [frame.event for frame in await asking][-1] == "done"


async def test_a_turn_behind_one_that_the_chain_does_not_finish_goes_to_the_chain_too_and_keeps_its_place(
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
    chain: LegacyPipeline,
    engine: ScriptedEngine,
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    caller = turn_service(client, redis, answers, FlagSet(), legacy_first_s=0.1)
    await redis.client.rpush(redis_names.session_queue("live-001"), entry())
    asking = asyncio.create_task(call_turn(caller))
    asked = await chain.next()
    await chain.answer(asked)
    frames = await asking
    assert done(frames).stats.fallback_reason == "behind_legacy"
    assert engine.requests == []


async def test_with_the_circuit_open_nobody_waits_for_the_turn_before_in_the_chain(
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
    chain: LegacyPipeline,
    engine: ScriptedEngine,
) -> None:
    engine.answers = [ScriptedAnswer(steps=[CUT])]
    caller = turn_service(
        client, redis, answers, FlagSet(), legacy_first_s=5, circuit_failures=1, circuit_open_s=60
    )
    asking = asyncio.create_task(call_turn(caller))
    await chain.answer(await chain.next())
    await asking
    await redis.client.rpush(redis_names.session_queue("live-001"), entry())
    again = REQUEST.model_copy(update={"meta": RequestMeta(request_id="r-2", lang="zh")})
    began = asyncio.get_running_loop().time()
    asking = asyncio.create_task(call_turn(caller, again))
    asked = await chain.next()
    assert asyncio.get_running_loop().time() - began < 2
    assert asked.meta.reason == "circuit_open"
    await chain.answer(asked)
    await asking


async def test_a_chain_that_is_down_does_not_keep_a_session_from_an_engine_that_is_well(
    caller: TurnService, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    await redis.client.rpush(redis_names.session_queue("live-001"), entry(age_s=16))
    began = asyncio.get_running_loop().time()
    assert [frame.event for frame in await call_turn(caller)][-1] == "done"
    assert asyncio.get_running_loop().time() - began < 2.5, "where it waits, it is for three"
