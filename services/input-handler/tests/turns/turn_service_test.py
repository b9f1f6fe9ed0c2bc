"""Every way of a turn through `TurnService`, which decides all of them in one place: numbers, resuming, refusals, failures before and
after the first delta, the circuit, and asking again. They are one file because each is a variation of one scripted engine's answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest, FlagSet, RequestMeta, TurnType
from dialog_contracts.sse import ErrorEvent, SseFrame
from dialog_flags.flags import FixedFlags
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from dialog_telemetry import metrics
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.errors import EngineRefused, LegacyUnavailable, TooManyTurns
from input_handler.legacy.client import LegacyClient
from input_handler.testing.legacy_pipeline import plenty
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
from input_handler.turns.running_turns import RunningTurns
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService
from service_runtime.http.errors import Conflict

Make = Callable[..., TurnService]
Open = Callable[..., Awaitable[EngineClient]]
WHOLE = ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])
REQUEST = ChatRequest(
    session_id="live-001", content="今晚玩什么？", meta=RequestMeta(request_id="r-1")
)


@pytest.fixture
async def clients() -> AsyncIterator[list[EngineClient]]:
    made: list[EngineClient] = []
    yield made
    for client in made:
        await client.aclose()


def caller_of(
    client: EngineClient, redis: RedisClient, flags: FlagSet | None = None, **sync: float
) -> TurnService:
    """Without a legacy chain: what the other path does is tested beside `legacy_path`.

    Limits that a stalled machine does not reach, except where a test is about them.
    """
    settings = {
        "accept_timeout_s": 10,
        "first_token_timeout_s": 10,
        "circuit_failures": 100,
    } | sync
    legacy = LegacyClient(
        redis, LegacyResponses("redis://127.0.0.1:1/0"), enabled=False, timeout_s=1
    )
    sync_path = EngineGuard(client, **settings)  # type: ignore[arg-type]
    return TurnService(
        sync_path, legacy, TurnNumberAllocator(redis), FixedFlags(flags or FlagSet()), plenty()
    )


@pytest.fixture
async def open_client(clients: list[EngineClient]) -> Open:
    async def opened(url: str, **more: float) -> EngineClient:
        client = EngineClient(url, **more)
        await client.open()
        clients.append(client)
        return client

    return opened


@pytest.fixture
async def make(open_client: Open, engine_url: str, no_redis: RedisClient) -> Make:
    first = await open_client(engine_url)

    def caller(
        flags: FlagSet | None = None, client: EngineClient | None = None, **sync: float
    ) -> TurnService:
        return caller_of(client or first, no_redis, flags, **sync)

    return caller


async def called(
    caller: TurnService, request: ChatRequest = REQUEST, **more: Any
) -> list[SseFrame]:
    return [frame async for frame in caller.stream(request, **more)]


def fallbacks(reason: str) -> float:
    return float(metrics.FALLBACKS.labels(reason=reason)._value.get())


def names(frames: list[SseFrame]) -> list[str]:
    return [frame.event for frame in frames]


def error_of(frames: list[SseFrame]) -> ErrorEvent:
    event = frames[-1].parse()
    assert isinstance(event, ErrorEvent)
    return event


async def test_events_pass_with_their_ids_and_data_untouched(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [WHOLE]
    frames = await called(make())
    assert b"".join(frame.encode() for frame in frames) == events(1, ACCEPTED, HELLO, DONE)


async def test_the_engine_gets_number_flags_and_trace(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [WHOLE]
    flags = FlagSet(SYNC_TTS_STREAMING=True, generation=7)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await called(make(flags), traceparent=parent)
    (sent,) = engine.requests
    assert (sent.turn, sent.content, sent.meta.request_id, sent.meta.flags) == (
        1,
        "今晚玩什么？",
        "r-1",
        flags,
    )
    assert engine.headers[0]["traceparent"].split("-")[1] == parent.split("-")[1]


async def test_flags_from_outside_are_replaced(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [WHOLE]
    meant = REQUEST.model_copy(
        update={"meta": RequestMeta(flags=FlagSet(ENABLE_LTM=True, generation=99))}
    )
    await called(make(), meant)
    assert engine.requests[0].meta.flags == FlagSet()


async def test_a_taken_number_is_skipped(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [
        refusal(409, "turn_taken", next_turn=43),
        refusal(409, "turn_taken", next_turn=44),
        WHOLE,
    ]
    assert names(await called(make())) == ["control", "text-delta", "done"]
    assert [request.turn for request in engine.requests] == [1, 43, 44]


async def test_numbers_that_are_all_taken_end_in_one_clear_error(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [refusal(409, "turn_taken", next_turn=7)]
    with pytest.raises(LegacyUnavailable) as failed:
        await called(make())
    assert failed.value.body.code == "no_free_number"
    assert len(engine.requests) == 5


async def test_a_number_chosen_outside_is_not_changed(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [refusal(409, "turn_taken", next_turn=43)]
    with pytest.raises(EngineRefused) as refused:
        await called(make(), REQUEST.model_copy(update={"turn": 42}))
    assert (refused.value.status, refused.value.body.next_turn) == (409, 43)
    assert [request.turn for request in engine.requests] == [42]


async def test_resuming_asks_for_the_turn_of_the_event(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [
        ScriptedAnswer(steps=[sse.frame(HELLO, "42.8").encode() + sse.frame(DONE, "42.9").encode()])
    ]
    assert [frame.id for frame in await called(make(), last_event_id="42.7")] == ["42.8", "42.9"]
    assert engine.requests[0].turn == 42
    assert engine.headers[0]["last-event-id"] == "42.7"


async def test_nothing_after_the_last_event_is_a_whole_answer_and_no_failure(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [ScriptedAnswer(steps=[])]
    caller = make(circuit_failures=1, circuit_open_s=60)
    for _ in range(24):
        assert await called(caller, last_event_id="42.9") == []
    engine.answers = [WHOLE]
    assert names(await called(caller))[-1] == "done"


async def test_whoever_resumes_waits_for_what_is_due_next_and_not_for_accepted(
    engine: ScriptedEngine, make: Make
) -> None:
    """Before: a turn that paused for 300 ms counted as an engine that does not accept."""
    rest = sse.frame(HELLO, "42.8").encode() + sse.frame(DONE, "42.9").encode()
    engine.answers = [ScriptedAnswer(steps=[0.4, rest])]
    caller = make(
        accept_timeout_s=0.3, first_token_timeout_s=0.2, circuit_failures=1, circuit_open_s=60
    )
    assert [frame.id for frame in await called(caller, last_event_id="42.7")] == ["42.8", "42.9"]
    engine.answers = [WHOLE]
    # The engine, this time, is quick: a limit of this test must not be one that a stalled machine
    # reaches.
    assert names(await called(make()))[-1] == "done"


async def test_an_error_that_is_all_that_is_left_is_passed_on(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [
        ScriptedAnswer(
            steps=[sse.frame(ErrorEvent(code="llm_failed", message="m"), "42.8").encode()]
        )
    ]
    frames = await called(make(), last_event_id="42.7")
    assert (names(frames), error_of(frames).code) == (["error"], "llm_failed")


@pytest.mark.parametrize(
    "wrong",
    [
        "junk",
        "7",
        "7.",
        ".7",
        "7.8.9",
        "-1.2",
        "0.1",
        "9" * 11 + ".0",
        "1." + "9" * 5000,
        "١.٢",
        "1.2\r\nX: y",
    ],
)
async def test_what_is_no_events_id_is_refused_by_name_and_takes_no_number(
    engine: ScriptedEngine, make: Make, wrong: str
) -> None:
    caller = make()
    with pytest.raises(Conflict, match="Last-Event-ID"):
        await called(caller, last_event_id=wrong)
    engine.answers = [WHOLE]
    await called(caller)
    assert [request.turn for request in engine.requests] == [1]


async def test_a_chosen_number_goes_to_the_engine_with_what_is_known_here(
    engine: ScriptedEngine, make: Make
) -> None:
    """Only the engine knows of turns whose counter has gone."""
    engine.answers = [WHOLE]
    caller = make()
    await called(caller, REQUEST.model_copy(update={"turn": 7}))
    await called(caller, REQUEST.model_copy(update={"turn": 2**31 - 1}))
    await called(caller)
    assert [(request.turn, request.meta.known_turn) for request in engine.requests] == [
        (7, 0),
        (2**31 - 1, 7),
        (8, None),
    ]


async def test_a_number_out_of_reach_is_not_given_to_the_chain(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [refusal(500, "internal")]
    caller = make()
    with pytest.raises(LegacyUnavailable):
        await called(caller, REQUEST.model_copy(update={"turn": 100}))
    for far in (201, 2**31 - 1):
        with pytest.raises(
            Conflict, match=f"{far} is out of reach; the session's next turn is 101"
        ) as refused:
            await called(caller, REQUEST.model_copy(update={"turn": far}))
        assert (refused.value.body.field, refused.value.body.next_turn) == ("turn", 101)


@pytest.mark.parametrize("status", [409, 422])
async def test_a_refusal_is_passed_on_as_it_is(
    engine: ScriptedEngine, make: Make, status: int
) -> None:
    engine.answers = [refusal(status, "busy")]
    with pytest.raises(EngineRefused) as refused:
        await called(make())
    assert (refused.value.status, refused.value.body.code) == (status, "busy")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ScriptedAnswer(wait_s=0.3), "not_accepted_in_time"),
        (ScriptedAnswer(steps=[HANG]), "not_accepted_in_time"),
        (
            ScriptedAnswer(wait_s=0.1, steps=[0.1, events(1, ACCEPTED, HELLO, DONE)]),
            "not_accepted_in_time",
        ),
        (refusal(500, "internal"), "status_500"),
        (ScriptedAnswer(steps=[b"<html>"], status=502), "status_502"),
        (refusal(429, "overloaded"), "overloaded"),
        (ScriptedAnswer(steps=[CUT]), "cut"),
        (ScriptedAnswer(steps=[]), "cut"),
        (ScriptedAnswer(steps=[b"data: \xff\n\n", HANG]), "cut"),
        (
            ScriptedAnswer(steps=[events(1, ErrorEvent(code="llm_failed", message="m"))]),
            "engine_llm_failed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_before_anything_was_said_is_one_counted_error(
    engine: ScriptedEngine, make: Make, answer: ScriptedAnswer, reason: str
) -> None:
    engine.answers = [answer]
    before = fallbacks(reason)
    limits = {"accept_timeout_s": 0.15} if reason == "not_accepted_in_time" else {}
    with pytest.raises(LegacyUnavailable) as failed:
        await called(make(**limits))
    assert failed.value.status == 503
    assert failed.value.body.code == "legacy_unavailable"
    assert failed.value.body.retryable
    assert fallbacks(reason) == before + 1


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ([HANG], "no_delta_in_time"),
        ([CUT], "cut"),
        ([], "cut"),
        (
            [sse.frame(ErrorEvent(code="llm_failed", message="m"), "1.1").encode()],
            "engine_llm_failed",
        ),
    ],
)
async def test_a_failure_between_accepted_and_the_first_delta_is_one_counted_error(
    engine: ScriptedEngine, make: Make, after: list[bytes | float | str], reason: str
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), 0.01, *after])]
    before = fallbacks(reason)
    limits = {"first_token_timeout_s": 0.25} if reason == "no_delta_in_time" else {}
    frames = await called(make(**limits))
    assert names(frames) == ["control", "error"]
    assert (error_of(frames).code, error_of(frames).retryable, frames[-1].id) == (
        "legacy_unavailable",
        True,
        "1.1",
    )
    assert fallbacks(reason) == before + 1


@pytest.mark.parametrize("after", [[CUT], [], [HANG]], ids=["cut", "ended", "hangs"])
async def test_after_the_first_delta_there_is_no_fallback_only_an_error(
    engine: ScriptedEngine,
    engine_url: str,
    make: Make,
    open_client: Open,
    after: list[bytes | float | str],
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), 0.01, *after])]
    before = fallbacks("none_after_first_delta")
    frames = await called(make(client=await open_client(engine_url, silent_s=1)))
    assert names(frames) == ["control", "text-delta", "error"]
    assert (error_of(frames).code, frames[-1].id) == ("engine_lost", "1.2")
    assert fallbacks("none_after_first_delta") == before + 1


async def test_the_engines_own_error_after_the_first_delta_is_passed_on(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [
        ScriptedAnswer(
            steps=[events(1, ACCEPTED, HELLO, ErrorEvent(code="llm_failed", message="m"))]
        )
    ]
    frames = await called(make())
    assert names(frames) == ["control", "text-delta", "error"]
    assert error_of(frames).code == "llm_failed"


async def test_after_failures_in_a_row_the_engine_is_spared_and_asked_again_later(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [ScriptedAnswer(steps=[CUT])]
    caller = make(circuit_failures=2, circuit_open_s=1)
    for _ in range(2):
        with pytest.raises(LegacyUnavailable, match="cut"):
            await called(caller)
    with pytest.raises(LegacyUnavailable, match="circuit_open"):
        await called(caller)
    assert len(engine.requests) == 2
    assert metrics.CIRCUIT.labels(engine="0")._value.get() == 2
    engine.answers = [WHOLE]
    await asyncio.sleep(1.1)
    assert names(await called(caller))[-1] == "done"
    assert metrics.CIRCUIT.labels(engine="0")._value.get() == 0
    assert names(await called(caller))[-1] == "done"


async def test_while_one_turn_looks_whether_the_engine_is_back_the_others_do_not_wait_for_it(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [ScriptedAnswer(steps=[CUT])]
    caller = make(circuit_failures=1, circuit_open_s=0.5, first_token_timeout_s=1)
    with pytest.raises(LegacyUnavailable, match="cut"):
        await called(caller)
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    await asyncio.sleep(0.55)
    looking = asyncio.create_task(called(caller))
    await asyncio.sleep(0.05)
    for _ in range(5):
        with pytest.raises(LegacyUnavailable, match="circuit_open"):
            await called(caller)
    assert names(await looking) == ["control", "error"], "no delta in time"
    assert len(engine.requests) == 2
    with pytest.raises(LegacyUnavailable, match="circuit_open"):
        await called(caller)
    engine.answers = [WHOLE]
    await asyncio.sleep(0.55)
    assert names(await called(caller))[-1] == "done"
    assert {names(await called(caller))[-1] for _ in range(3)} == {"done"}


async def test_a_turn_that_looks_and_is_left_by_its_caller_lets_the_next_one_look(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [ScriptedAnswer(steps=[CUT])]
    caller = make(circuit_failures=1, circuit_open_s=0.1)
    with pytest.raises(LegacyUnavailable):
        await called(caller)
    await asyncio.sleep(0.15)
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    frames = caller.stream(REQUEST)
    await anext(frames)
    await frames.aclose()
    engine.answers = [WHOLE]
    assert names(await called(caller))[-1] == "done"


async def test_a_model_that_fails_and_callers_that_leave_say_nothing_against_the_engine(
    engine: ScriptedEngine, make: Make
) -> None:
    caller = make(circuit_failures=1)
    engine.answers = [ScriptedAnswer(steps=[events(1, ErrorEvent(code="llm_failed", message="m"))])]
    with pytest.raises(LegacyUnavailable, match="engine_llm_failed"):
        await called(caller)
    engine.answers = [refusal(422, "invalid")]
    with pytest.raises(EngineRefused):
        await called(caller)
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    frames = caller.stream(REQUEST)
    await anext(frames)
    await frames.aclose()
    engine.answers = [WHOLE]
    assert names(await called(caller))[-1] == "done"


async def test_more_turns_at_once_than_the_limit_are_refused(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), HANG])]
    caller = make()
    caller._running = RunningTurns(max_total=1, max_per_client=1, max_per_session=1)
    frames = caller.stream(REQUEST)
    await anext(frames)
    engine.answers = [WHOLE]
    stop = ChatRequest(session_id="live-001", type=TurnType.COMMAND, content="STOP")
    assert names(await called(caller, stop))[-1] == "done", "who stops something asks for no place"
    with pytest.raises(TooManyTurns) as refused:
        await called(caller)
    assert (refused.value.status, refused.value.body.code) == (429, "too_many_turns")
    await frames.aclose()
    engine.answers = [WHOLE]
    assert names(await called(caller))[-1] == "done"


async def test_whose_turn_it_is_goes_to_the_engine_and_what_a_caller_says_of_it_does_not(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [WHOLE]
    said = REQUEST.model_copy(update={"meta": RequestMeta(client="10.9.9.9", known_turn=7)})
    await called(make(), said, client="10.0.0.1")
    await called(make(), said)
    assert [(request.meta.client, request.meta.known_turn) for request in engine.requests] == [
        ("10.0.0.1", None),
        (None, None),
    ]


async def test_a_client_that_has_enough_turns_is_refused_and_gets_none_from_the_other_path(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [refusal(429, "client_busy")]
    with pytest.raises(EngineRefused) as refused:
        await called(make())
    assert (refused.value.status, refused.value.body.code) == (429, "client_busy")


async def test_a_slow_reply_after_its_first_delta_is_waited_for(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [
        ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), 0.3, sse.frame(DONE, "1.2").encode()])
    ]
    assert names(await called(make())) == ["control", "text-delta", "done"]


async def test_an_engine_that_is_not_there_is_one_counted_error(
    make: Make, open_client: Open, no_redis_url: str
) -> None:
    client = await open_client(no_redis_url.replace("redis", "http").removesuffix("/0"))
    before = fallbacks("not_reached")
    with pytest.raises(LegacyUnavailable, match="not_reached"):
        await called(make(client=client))
    assert not await client.ready()
    assert fallbacks("not_reached") == before + 1


async def test_with_the_main_path_off_the_engine_is_not_asked(
    engine: ScriptedEngine, make: Make
) -> None:
    before = fallbacks("sync_core_off")
    with pytest.raises(LegacyUnavailable, match="switched off"):
        await called(make(FlagSet(ENABLE_SYNC_CORE=False)))
    assert engine.requests == []
    assert fallbacks("sync_core_off") == before + 1


@pytest.mark.parametrize("command", [False, True])
async def test_a_caller_that_leaves_closes_the_call(
    engine: ScriptedEngine, make: Make, command: bool
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    request = (
        ChatRequest(session_id="live-001", type="COMMAND", content="STOP") if command else REQUEST
    )
    frames = make().stream(request)
    assert (await anext(frames)).event == "control"
    assert not engine.left.is_set()
    await frames.aclose()
    await asyncio.wait_for(engine.left.wait(), 1)


@pytest.mark.parametrize(
    ("outer", "inner", "told"), [(7, None, 7), (None, 7, 7), (3, 7, 7), (None, None, None)]
)
async def test_a_stop_that_names_its_turn_anywhere_means_that_turn(
    engine: ScriptedEngine, make: Make, outer: int | None, inner: int | None, told: int | None
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(0, DONE)])]
    stop = ChatRequest(
        session_id="live-001",
        type="COMMAND",
        content="STOP",
        turn=outer,
        meta=RequestMeta(turn=inner),
    )
    await called(make(), stop)
    assert engine.requests[0].meta.turn == told


async def test_stop_takes_no_number(engine: ScriptedEngine, make: Make) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(0, DONE)])]
    caller = make()
    assert names(
        await called(caller, ChatRequest(session_id="live-001", type="COMMAND", content="STOP"))
    ) == ["done"]
    assert engine.requests[0].turn is None
    engine.answers = [WHOLE]
    await called(caller)
    assert engine.requests[1].turn == 1


@pytest.mark.parametrize(
    "first",
    [
        refusal(429, "overloaded"),
        ScriptedAnswer(steps=[CUT]),
        ScriptedAnswer(wait_s=0.5, steps=[HANG]),
    ],
    ids=["busy", "cut", "late"],
)
async def test_an_engine_that_was_only_too_busy_is_asked_again_before_a_person_is(
    engine: ScriptedEngine, make: Make, first: ScriptedAnswer
) -> None:
    engine.answers = [first, first, WHOLE]
    caller = make(accept_timeout_s=0.2)
    caller._engine_retry_s = 20
    assert names(await called(caller)) == ["control", "text-delta", "done"]
    assert {request.turn for request in engine.requests} == {1}


async def test_an_engine_that_stays_too_busy_is_one_clear_error(
    engine: ScriptedEngine, make: Make
) -> None:
    engine.answers = [refusal(429, "overloaded")]
    caller = make()
    caller._engine_retry_s = 1
    with pytest.raises(LegacyUnavailable, match="overloaded"):
        await called(caller)
    assert len(engine.requests) > 1


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, "internal"),
        ScriptedAnswer(steps=[events(1, ErrorEvent(code="llm_failed", message="m"))]),
    ],
)
async def test_one_that_failed_for_another_reason_is_not(
    engine: ScriptedEngine, make: Make, answer: ScriptedAnswer
) -> None:
    engine.answers = [answer, WHOLE]
    caller = make()
    caller._engine_retry_s = 60
    with pytest.raises(LegacyUnavailable):
        await called(caller)
    assert len(engine.requests) == 1
