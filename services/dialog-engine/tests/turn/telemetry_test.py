"""What a turn reports: context, figures, sample."""

import asyncio
from typing import Any, cast

import structlog

from dialog_contracts.http import FlagSet
from dialog_contracts.sse import DoneStats
from dialog_engine.turn.actions import Commit, Finish
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.state_machine import TurnStateMachine
from dialog_engine.turn.telemetry import TurnContext, TurnTelemetry

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def _nothing() -> Any:
    yield ""


def request(**more: Any) -> TurnRequest:
    return TurnRequest("s", 3, "hi", "r-1", FlagSet(generation=7), "en", PARENT, _nothing, **more)


class Host:
    voice_files = False

    class Voice:
        name = "scripted"

    voice = Voice()


class Speech:
    failed_fragments, spoken_fragments = 1, 0


def telemetry(speech: Any = None, asked: TurnRequest | None = None, **host: Any) -> TurnTelemetry:
    made = Host()
    for name, value in host.items():
        setattr(made, name, value)
    machine = TurnStateMachine(turn=3, voiced=speech is not None)
    return TurnTelemetry(asked or request(), cast(Any, made), machine, speech, lambda: 1234.56)


async def test_log_lines_of_every_task_within_a_turn_carry_its_name_and_others_do_not() -> None:
    seen: list[dict[str, Any]] = []
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        seen.append(structlog.contextvars.get_contextvars())

    context = TurnContext(request())
    context.run(context.begin)
    context.run(lambda: tasks.append(asyncio.create_task(work())))
    await tasks[0]
    assert seen == [{"correlationId": "s#3"}]
    assert "correlationId" not in structlog.contextvars.get_contextvars()


def test_the_turns_span_continues_the_callers_trace() -> None:
    context = TurnContext(request())
    context.run(context.begin)
    context.end("done")
    assert context.traceparent is not None
    assert context.traceparent.split("-")[1] == PARENT.split("-")[1]


def test_figures_are_rounded_and_name_the_voice() -> None:
    stats = telemetry().stats(DoneStats(ttft_ms=12.345))
    assert (stats.total_ms, stats.ttft_ms, stats.voice) == (1234.6, 12.3, "off")
    assert telemetry(voice_files=True).stats(DoneStats()).voice == "file"


def test_a_voice_that_failed_for_every_fragment_is_unavailable() -> None:
    speech = Speech()
    assert telemetry(speech).stats(DoneStats()).voice == "unavailable"
    speech.spoken_fragments = 2
    assert telemetry(speech).stats(DoneStats()).voice == "scripted"


def test_done_says_which_model_answered_and_why_not_another() -> None:
    asked = request(llm=lambda: ("rules", {"openai": "no key"}))
    stats = telemetry(asked=asked).stats(DoneStats())
    assert (stats.llm, stats.instead_of) == ("rules", {"openai": "no key"})


def test_the_stored_turn_and_its_sample_are_of_this_turn() -> None:
    made = telemetry()
    stored = made.stored_turn(Commit("Hello.", interrupted=True, revision=1), PARENT)
    assert (stored.session_id, stored.turn, stored.user, stored.reply) == ("s", 3, "hi", "Hello.")
    assert (stored.request_id, stored.interrupted, stored.revision) == ("r-1", True, 1)
    sample = made.sample(Finish("failed", "disk"), PARENT)
    assert (sample.turn, sample.outcome, sample.reason, sample.flags.generation) == (
        3,
        "failed",
        "disk",
        7,
    )
