"""Errors of a kind that nobody foresaw, anywhere in a turn.

It ends, with one error, and everything that counts it falls again.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dialog_engine.tts_streamer import TtsStreamer
from dialog_engine.turn import output_messages, runner
from dialog_engine.turn.runner import TurnRunner
from dialog_engine.turn.state_machine import TurnStateMachine
from dialog_engine.turn.telemetry import TurnTelemetry
from dialog_engine.turn_host import EngineTurnHost
from dialog_llm.provider import THINKING, Ended
from dialog_telemetry import metrics
from dialog_voice.errors import ProviderError

if TYPE_CHECKING:
    from conftest import Engine, Opens


class Surprise(Exception):
    """Of no kind that anything expects."""


def raising(*_: object, **__: object) -> Any:
    raise Surprise("nobody foresaw this")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """`done` waits for a first chunk that never comes."""
    monkeypatch.setattr(runner, "DONE_AUDIO_WAIT_S", 0.05)


def running() -> float:
    return float(metrics.TURNS_RUNNING._value.get())


async def over(one: "Engine") -> None:
    async with asyncio.timeout(10):
        while one.service._running.total:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "where",
    [
        (TurnStateMachine, "delta"),
        (TurnStateMachine, "model_ended"),
        (TurnStateMachine, "committed"),
        (TurnStateMachine, "first_audio"),
        (TurnTelemetry, "stats"),
        (TurnTelemetry, "sample"),
        (TurnRunner, "_run_model"),
        (TurnRunner, "_begin"),
        (TtsStreamer, "enqueue"),
        (TtsStreamer, "_emit"),
        (TtsStreamer, "remaining_ms"),
        (output_messages, "caption"),
        (output_messages, "start"),
    ],
    ids=lambda where: f"{where[0].__name__.rpartition('.')[2]}.{where[1]}",
)
async def test_wherever_it_happens_the_turn_ends_once_and_the_next_one_works(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    before = running()
    async with engine(["Hi. "]) as one:
        with monkeypatch.context() as patched:
            patched.setattr(*where, raising)
            found = await asyncio.wait_for(one.say(1, request_id="r"), 10)
            assert found.names.count("done") + found.names.count("error") <= 1
            assert not {"done", "error"} & set(found.names[:-1]), "nothing follows the last word"
            await over(one)
        assert running() == before
        assert one.service._sessions.find("s").running is None  # type: ignore[union-attr]
        assert (await one.say(2, flags={})).names[-1] == "done"
        await over(one)
    assert running() == before


@pytest.mark.parametrize(
    "where",
    [(TurnStateMachine, "delta"), (TurnStateMachine, "model_ended"), (TurnRunner, "_run_model")],
)
async def test_the_caller_is_told_by_one_typed_error(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    published: list[str] = []
    monkeypatch.setattr(EngineTurnHost, "publish", lambda _, message, __: published.append(message))
    async with engine(["Hi. ", "You. "]) as one:
        monkeypatch.setattr(*where, raising)
        found = await asyncio.wait_for(one.say(1), 10)
        assert (found.error.code, found.names.count("error")) == ("internal", 1)
        await over(one)
    assert any('"STOP_ACK"' in frame or '"END"' in frame for frame in published), "viewers are told"


async def test_a_model_whose_task_ends_without_a_verdict_is_an_error(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: TurnRunner) -> None:
        return

    monkeypatch.setattr(TurnRunner, "_run_model", nothing)
    async with engine() as one:
        found = await asyncio.wait_for(one.say(1), 10)
        assert (found.names, found.error.code, found.error.retryable) == (
            ["control", "error"],
            "internal",
            True,
        )


async def test_a_commit_that_dies_is_a_turn_that_was_not_stored(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine() as one:
        monkeypatch.setattr(one.memory, "commit", raising)
        found = await asyncio.wait_for(one.say(1, flags={}), 10)
        assert found.error.code == "not_stored"


@pytest.mark.parametrize("broken", [lambda: ValueError("x"), lambda: asyncio.CancelledError("x")])
async def test_a_model_that_raises_anything_is_one_error_with_its_words_kept(
    engine: "Opens", broken: Callable[[], Exception]
) -> None:
    async with engine([broken()]) as one:
        assert (await one.say(1, flags={})).error.code == "llm_unavailable"
    async with engine(["Half ", broken()]) as one:
        found = await one.say(2, flags={})
        assert (found.text, found.error.code) == ("Half ", "llm_unavailable")
        stored = await one.memory.find("s", 2)
        assert stored is not None
        assert (stored.reply, stored.interrupted) == ("Half ", True)


async def test_thoughts_are_signs_of_life_and_nothing_else(engine: "Opens") -> None:
    async with engine([THINKING, "<think>secret</think>", THINKING, "Hello."]) as one:
        found = await one.say(1, flags={})
        assert found.names == ["control", "comment", "text-delta", "text-delta", "done"]
        assert (found[1].data, found[1].id) == ("thinking", None)
        assert [frame.id for frame in found if frame.id] == ["1.0", "1.1", "1.2", "1.3"]
        assert "secret" not in str(found)
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert stored.reply == "Hello."
        await one.say(2, flags={})
        assert "secret" not in str(one.brain.prompts)


async def test_a_reply_that_was_cut_says_so(engine: "Opens") -> None:
    async with engine(["Long ", Ended("length")]) as one:
        found = await one.say(1, flags={})
        assert (found.text, found.done.stats.finish_reason) == ("Long ", "length")
        again = await one.say(1, flags={}, after="1.0")
        assert again.done.stats.finish_reason == "length"


async def test_a_voice_that_never_speaks_leaves_a_turn_that_ends_with_done(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> Any:
        await committed.wait()
        raise ProviderError("scripted", "connection")
        yield

    committed = asyncio.Event()
    after = TurnStateMachine.committed

    def noticed(self: TurnStateMachine) -> Any:
        committed.set()
        return after(self)

    monkeypatch.setattr(TurnStateMachine, "committed", noticed)
    monkeypatch.setattr(runner, "DONE_AUDIO_WAIT_S", 30)
    async with engine(["Hello there. ", "And more."]) as one:
        monkeypatch.setattr(one.service._voices.default, "synthesize", silent)
        stats = (await one.say(1)).done.stats
        assert (stats.voice, stats.finish_reason) == ("unavailable", None)
