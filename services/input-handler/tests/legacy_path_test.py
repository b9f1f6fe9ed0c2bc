"""The other path against a real Valkey; the chain is played by the test."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import ChatRequest, FlagSet, Meta
from dialog_contracts.legacy_chain import AudioBlob, ResponseMetadata, TaskResponse, UserInput
from dialog_contracts.samples import TurnSample
from dialog_contracts.sse import DoneEvent, ErrorEvent, SseFrame, TextDeltaEvent
from dialog_flags.flags import FixedFlags
from input_handler.engine_client import EngineClient
from input_handler.errors import LegacyUnavailable
from input_handler.legacy_path import LegacyPath
from input_handler.sync_path import SyncPath
from input_handler.testing.scripted_engine import ACCEPTED, CUT, DONE, HANG, HELLO, Answer, ScriptedEngine, events, refusal
from input_handler.turn_caller import TurnCaller
from input_handler.turn_numbers import TurnNumbers
from service_runtime import effects
from service_runtime.answers import Answers
from service_runtime.redis_link import RedisLink
from service_runtime.work_list import WorkList

REQUEST = ChatRequest(session_id="live-001", content="今晚玩什么？", meta=Meta(request_id="r-1", lang="zh"))
OFF = FlagSet(ENABLE_SYNC_CORE=False)


class Chain:
    """What memory, chat-ai and tts do together."""

    def __init__(self, redis: RedisLink, url: str) -> None:
        self._redis, self._url = redis, url
        self.taken: list[UserInput] = []

    async def next(self) -> UserInput:
        raw = None
        async with asyncio.timeout(3):
            while raw is None:
                raw = await self._redis.client.rpop(redis_names.USER_INPUT_QUEUE)
                await asyncio.sleep(0.005)
        assert isinstance(raw, str)
        self.taken.append(UserInput.from_json(raw))
        return self.taken[-1]

    async def queued(self) -> int:
        return int(await self._redis.client.llen(redis_names.USER_INPUT_QUEUE))

    async def answer(self, asked: UserInput, text: str = "解谜！", **more: object) -> None:
        response = TaskResponse.model_validate(
            {
                "message_id": f"{asked.task_id}#{asked.meta.turn}",
                "task_id": asked.task_id,
                "text": text,
                "audio": AudioBlob(id="0" * 32, format="wav"),
                "metadata": {"provider": "espeak"},
                "meta": asked.meta,
                **more,
            }
        )
        work = WorkList(self._url, "test", "test")
        await self._redis.client.lpush(redis_names.processing("test", "test"), "x")
        await work._finish("x", [effects.answer(response)])
        await work._redis.aclose()


@pytest.fixture
async def answers(valkey_url: str) -> AsyncIterator[Answers]:
    made = Answers(valkey_url)
    made.start()
    yield made
    await made.aclose()


@pytest.fixture
async def chain(redis: RedisLink, valkey_url: str) -> Chain:
    return Chain(redis, valkey_url)


@pytest.fixture
async def client(engine_url: str) -> AsyncIterator[EngineClient]:
    made = EngineClient(engine_url)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
def caller(client: EngineClient, redis: RedisLink, answers: Answers) -> TurnCaller:
    return caller_of(client, redis, answers, FlagSet())


def caller_of(
    client: EngineClient,
    redis: RedisLink,
    answers: Answers,
    flags: FlagSet,
    within_s: float = 5,
    *,
    legacy_first_s: float = 3.0,
    circuit_failures: int = 100,
    circuit_open_s: float = 2.0,
) -> TurnCaller:
    sync = SyncPath(
        client,
        accepted_within_s=0.2,
        first_delta_within_s=0.3,
        circuit_failures=circuit_failures,
        circuit_open_s=circuit_open_s,
    )
    legacy = LegacyPath(redis, answers, enabled=True, within_s=within_s)
    return TurnCaller(sync, legacy, TurnNumbers(redis), FixedFlags(flags), legacy_first_s=legacy_first_s)


async def called(caller: TurnCaller, request: ChatRequest = REQUEST, **more: Any) -> list[SseFrame]:
    return [frame async for frame in caller.call(request, **more)]


def told(frames: list[SseFrame]) -> list[tuple[str | None, str]]:
    return [(frame.id, frame.event) for frame in frames]


def text(frames: list[SseFrame]) -> str:
    return "".join(event.content for frame in frames if isinstance(event := frame.parse(), TextDeltaEvent))


def done(frames: list[SseFrame]) -> DoneEvent:
    event = frames[-1].parse()
    assert isinstance(event, DoneEvent)
    return event


async def test_with_the_main_path_off_the_chain_answers_and_the_caller_hears_it_as_a_turn(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain, engine: ScriptedEngine
) -> None:
    asking = asyncio.create_task(called(caller_of(client, redis, answers, OFF)))
    asked = await chain.next()
    assert (asked.task_id, asked.content, asked.source, asked.meta.lang) == ("live-001", "今晚玩什么？", "user", "zh")
    assert (asked.meta.session_id, asked.meta.turn, asked.meta.request_id, asked.meta.reason) == (
        "live-001",
        1,
        "r-1",
        "sync_core_off",
    )
    assert asked.meta.flags == OFF
    await chain.answer(asked)
    frames = await asking
    assert told(frames) == [("1.0", "control"), ("1.1", "text-delta"), ("1.2", "text-delta"), ("1.3", "done")]
    assert text(frames) == "解谜！"
    stats = done(frames).stats
    assert (stats.path, stats.fallback_reason, stats.voice) == ("legacy", "sync_core_off", "espeak")
    assert engine.requests == []
    assert await redis.client.get(redis_names.reply_claim("live-001#1")) == "legacy"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(wait_s=0.4), "not_accepted_in_time"),
        (Answer(steps=[events(1, ACCEPTED), HANG]), "no_delta_in_time"),
        (Answer(steps=[events(1, ACCEPTED), CUT]), "cut"),
        (refusal(500, "internal"), "status_500"),
        (refusal(429, "overloaded"), "overloaded"),
        (Answer(steps=[events(1, ACCEPTED, ErrorEvent(code="llm_failed", message="m"))]), "engine_llm_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_turn_that_the_engine_fails_before_its_first_word_is_answered_by_the_chain_under_the_same_name(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain, answer: Answer, reason: str
) -> None:
    engine.answers = [answer]
    asking = asyncio.create_task(called(caller))
    asked = await chain.next()
    assert (asked.meta.turn, asked.meta.reason) == (engine.requests[0].turn, reason)
    await chain.answer(asked)
    frames = await asking
    assert [frame.event for frame in frames] == ["control", "text-delta", "text-delta", "done"]
    assert len({frame.id for frame in frames}) == len(frames)
    assert done(frames).stats.fallback_reason == reason
    assert await chain.queued() == 0


async def test_after_the_first_word_the_chain_is_never_asked(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain, redis: RedisLink
) -> None:
    engine.answers = [Answer(steps=[events(1, ACCEPTED, HELLO), 0.01, CUT])]
    frames = await called(caller)
    assert [frame.event for frame in frames] == ["control", "text-delta", "error"]
    assert await chain.queued() == 0
    assert await redis.client.get(redis_names.reply_claim("live-001#1")) is None


@pytest.mark.parametrize(
    ("given_up", "resumed_after"),
    [
        (Answer(wait_s=0.4), None),
        (Answer(steps=[events(1, ACCEPTED), CUT]), "1.0"),
        (Answer(steps=[events(1, ACCEPTED), HANG]), "1.0"),
    ],
)
async def test_an_engine_that_was_given_up_too_early_is_heard_after_all(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain, redis: RedisLink, given_up: Answer, resumed_after: str | None
) -> None:
    await redis.client.set(redis_names.reply_claim("live-001#1"), "sync")
    rest = events(1, ACCEPTED, HELLO, DONE)
    if resumed_after is not None:
        rest = rest.removeprefix(events(1, ACCEPTED))
    # The second time it may take longer to accept than a turn that could go elsewhere.
    engine.answers = [given_up, Answer(steps=[CUT]), Answer(wait_s=0.5, steps=[rest])]
    frames = await called(caller)
    assert told(frames) == [("1.0", "control"), ("1.1", "text-delta"), ("1.2", "done")]
    assert [headers.get("last-event-id") for headers in engine.headers] == [None, resumed_after, resumed_after]
    assert len({request.meta.request_id for request in engine.requests}) == 1, "the same message, not another"
    assert await chain.queued() == 0


async def test_an_engine_that_claimed_a_turn_and_is_gone_ends_it_in_one_clear_error(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain, redis: RedisLink
) -> None:
    await redis.client.set(redis_names.reply_claim("live-001#1"), "sync")
    engine.answers = [Answer(steps=[events(1, ACCEPTED), CUT]), refusal(404, "turn_lost")]
    frames = await called(caller)
    assert told(frames) == [("1.0", "control"), ("1.1", "error")]
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.retryable) == ("engine_lost", True)
    assert await chain.queued() == 0


async def test_a_turn_that_the_other_path_has_is_waited_for_and_not_queued_again(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain, redis: RedisLink
) -> None:
    await redis.client.set(redis_names.reply_claim("live-001#1"), "legacy")
    engine.answers = [Answer(steps=[events(1, ACCEPTED, ErrorEvent(code="answered_elsewhere", message="m"))])]
    asking = asyncio.create_task(called(caller))
    await asyncio.sleep(0.1)
    assert await chain.queued() == 0
    asked = UserInput(task_id="live-001", content="x", meta={"session_id": "live-001", "turn": 1, "reason": "cut"})
    await chain.answer(asked)
    frames = await asking
    assert text(frames) == "解谜！"
    assert done(frames).stats.fallback_reason == "cut"


async def test_the_same_message_again_gets_the_same_answer_without_asking_anybody(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain
) -> None:
    engine.answers = [refusal(500, "internal")]
    asking = asyncio.create_task(called(caller))
    await chain.answer(await chain.next())
    first = await asking
    again = await called(caller)
    assert told(again) == told(first)
    assert text(again) == text(first)
    assert len(engine.requests) == 1
    assert await chain.queued() == 0


async def test_resuming_a_turn_of_the_chain_gives_what_is_missing(
    caller: TurnCaller, engine: ScriptedEngine, chain: Chain
) -> None:
    engine.answers = [refusal(500, "internal")]
    asking = asyncio.create_task(called(caller))
    await chain.answer(await chain.next())
    await asking
    engine.answers = [refusal(409, "turn_lost")]
    assert told(await called(caller, last_event_id="1.1")) == [("1.2", "text-delta"), ("1.3", "done")]


async def test_two_callers_of_one_message_get_one_turn(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain
) -> None:
    callers = [caller_of(client, redis, answers, OFF) for _ in range(2)]
    asking = [asyncio.create_task(called(caller)) for caller in callers]
    asked = await chain.next()
    await asyncio.sleep(0.1)
    assert await chain.queued() == 0
    await chain.answer(asked)
    assert [text(await one) for one in asking] == ["解谜！", "解谜！"]


async def test_an_error_of_the_chain_is_one_clear_error(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain
) -> None:
    asking = asyncio.create_task(called(caller_of(client, redis, answers, OFF)))
    metadata = ResponseMetadata(code="llm_failed")
    await chain.answer(await chain.next(), "", status="error", error="no model answers", metadata=metadata, audio=None)
    frames = await asking
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.message, error.retryable) == ("llm_failed", "no model answers", True)


async def test_an_answer_that_does_not_come_is_an_error_and_a_late_one_is_not_a_second_reply(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain
) -> None:
    heard: list[TaskResponse] = []
    answers.watch("live-001", heard.append)
    frames = await called(caller_of(client, redis, answers, OFF, within_s=0.3))
    error = frames[-1].parse()
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.retryable) == ("legacy_timeout", True)
    await chain.answer(await chain.next(), "too late")
    await asyncio.sleep(0.1)
    assert [(response.status, response.metadata.code) for response in heard] == [("error", "legacy_timeout")]
    kept = await redis.client.hvals(redis_names.answers("live-001"))
    assert [TaskResponse.from_json(one).status for one in kept] == ["error"]


async def test_an_answer_that_was_kept_without_a_sound_stands_when_its_time_is_up(
    client: EngineClient, redis: RedisLink, chain: Chain, valkey_url: str
) -> None:
    deaf = Answers(valkey_url)
    asking = asyncio.create_task(called(caller_of(client, redis, deaf, OFF, within_s=0.3)))
    await chain.answer(await chain.next())
    assert text(await asking) == "解谜！"
    await deaf.aclose()


async def test_without_redis_there_is_one_clear_error(client: EngineClient, no_redis: RedisLink, answers: Answers) -> None:
    with pytest.raises(LegacyUnavailable, match="Redis does not answer") as error:
        await called(caller_of(client, no_redis, answers, OFF))
    assert (error.value.status, error.value.body.code, error.value.retry_after_s) == (503, "legacy_unavailable", 1)


async def test_switched_off_it_queues_nothing_and_the_turn_still_counts(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain
) -> None:
    legacy = LegacyPath(redis, answers, enabled=False, within_s=1)
    caller = TurnCaller(
        SyncPath(client, accepted_within_s=1, first_delta_within_s=1), legacy, TurnNumbers(redis), FixedFlags(OFF)
    )
    with pytest.raises(LegacyUnavailable, match="switched off"):
        await called(caller)
    assert await chain.queued() == 0
    entries: Any = await redis.client.xrange(redis_names.TURN_SAMPLES)
    ((_, fields),) = entries
    sample = TurnSample.from_json(fields["sample"])
    assert (sample.path, sample.outcome, sample.reason) == ("none", "failed", "sync_core_off")


async def test_say_is_spoken_as_it_is_and_reset_is_remembered(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain
) -> None:
    caller = caller_of(client, redis, answers, OFF)
    say = ChatRequest(session_id="live-001", type="COMMAND", content="SAY", meta=Meta(text="欢迎！"))
    asking = asyncio.create_task(called(caller, say))
    asked = await chain.next()
    assert (asked.content, asked.meta.verbatim) == ("欢迎！", True)
    await chain.answer(asked)
    await asking
    frames = await called(caller, ChatRequest(session_id="live-001", type="COMMAND", content="RESET"))
    assert [frame.event for frame in frames] == ["control", "done"]
    assert await redis.client.get(redis_names.reset_after("live-001")) == "2"
    assert await chain.queued() == 0


async def test_a_caller_that_speaks_the_older_dialect_gets_its_voice_as_a_file(
    caller: TurnCaller, engine: ScriptedEngine, client: EngineClient, redis: RedisLink, answers: Answers
) -> None:
    flags = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True, generation=7)
    engine.answers = [Answer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    streaming = caller_of(client, redis, answers, flags)
    [frame async for frame in streaming.call(REQUEST, whole_file=True)]
    assert engine.requests[0].meta.flags == FlagSet(generation=7)


async def test_a_turn_does_not_overtake_the_one_before_it_that_the_chain_still_answers(
    caller: TurnCaller, engine: ScriptedEngine, redis: RedisLink
) -> None:
    engine.answers = [Answer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    await redis.client.rpush(redis_names.backlog("live-001"), "live-001#1\n{}")
    asking = asyncio.create_task(called(caller))
    await asyncio.sleep(0.1)
    assert engine.requests == []
    await redis.client.delete(redis_names.backlog("live-001"))
    assert [frame.event for frame in await asking][-1] == "done"


async def test_a_turn_behind_one_that_the_chain_does_not_finish_goes_to_the_chain_too_and_keeps_its_place(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain, engine: ScriptedEngine
) -> None:
    engine.answers = [Answer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    caller = caller_of(client, redis, answers, FlagSet(), legacy_first_s=0.1)
    await redis.client.rpush(redis_names.backlog("live-001"), "live-001#1\n{}")
    asking = asyncio.create_task(called(caller))
    asked = await chain.next()
    await chain.answer(asked)
    frames = await asking
    assert done(frames).stats.fallback_reason == "behind_legacy"
    assert engine.requests == []


async def test_with_the_circuit_open_nobody_waits_for_the_turn_before_in_the_chain(
    client: EngineClient, redis: RedisLink, answers: Answers, chain: Chain, engine: ScriptedEngine
) -> None:
    engine.answers = [refusal(500, "internal")]
    caller = caller_of(client, redis, answers, FlagSet(), legacy_first_s=5, circuit_failures=1, circuit_open_s=60)
    asking = asyncio.create_task(called(caller))
    await chain.answer(await chain.next())
    await asking
    await redis.client.rpush(redis_names.backlog("live-001"), "live-001#1\n{}")
    again = REQUEST.model_copy(update={"meta": Meta(request_id="r-2", lang="zh")})
    began = asyncio.get_running_loop().time()
    asking = asyncio.create_task(called(caller, again))
    asked = await chain.next()
    assert asyncio.get_running_loop().time() - began < 2
    assert asked.meta.reason == "circuit_open"
    await chain.answer(asked)
    await asking
