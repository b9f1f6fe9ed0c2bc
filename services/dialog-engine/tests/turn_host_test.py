"""What a turn tells the engine when it ends, and when its voice is to be a file."""

import asyncio
from typing import Any, cast

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.sessions.session import Session
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.ports import TurnResult
from dialog_engine.turn_host import EngineTurnHost, TurnServices
from service_runtime.aio.background_tasks import BackgroundTasks

SAMPLE = TurnSample(
    session_id="s", turn=3, flags=FlagSet(), path="sync", outcome="completed", ts=1.0
)


class Recorder:
    """Every call, by its name and its arguments."""

    def __init__(self, calls: list[tuple[str, tuple[Any, ...]]], answer: object = None) -> None:
        self._calls, self._answer = calls, answer

    def __getattr__(self, name: str) -> Any:
        def call(*args: object, **_: object) -> float | None:
            if name == "oldest_age_s":
                return 1.5
            self._calls.append((name, args))
            return None

        async def awaited(*args: object) -> object:
            self._calls.append((name, args))
            return self._answer

        return awaited if name in ("enqueue_voice_file", "append_sample") else call


def made(
    session: Session, *, follows: bool = True
) -> tuple[EngineTurnHost, list[tuple[str, tuple[Any, ...]]], BackgroundTasks]:
    calls: list[tuple[str, tuple[Any, ...]]] = []
    recorder, tasks = cast(Any, Recorder(calls, follows)), BackgroundTasks()
    services = TurnServices(
        memory=recorder,
        store=recorder,
        leases=recorder,
        outputs=recorder,
        relay=recorder,
        handoff=recorder,
        completed=recorder,
        running=recorder,
        tasks=tasks,
        voice_files=True,
        pod="dialog-engine-0",
    )
    return EngineTurnHost(services, session, recorder), calls, tasks


def result(events: EventLog, *, number_used: bool = True, sample: bool = True) -> TurnResult:
    return TurnResult(3, "r-1", "10.0.0.1", events, number_used, SAMPLE if sample else None)


def names(calls: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    return [name for name, _ in calls]


async def test_a_turn_that_ends_frees_its_place_keeps_its_events_and_is_sampled() -> None:
    host, calls, tasks = made(Session("s"))
    events = EventLog(3)
    host.on_ended(result(events))
    await tasks.wait_idle()
    assert names(calls) == ["ended", "add", "on_turn_ended", "append_sample"]
    assert calls[0][1] == ("10.0.0.1",)
    assert calls[1][1] == ("s", 3, events, "r-1")
    sample = calls[3][1][0]
    assert (sample.pod, sample.outbox_age_ms) == ("dialog-engine-0", 1_500)


@pytest.mark.parametrize("number_used", [True, False])
async def test_a_turn_that_left_nothing_gives_its_number_back(number_used: bool) -> None:
    session = Session("s")
    session.assign_turn(3, "r-1", asyncio.get_running_loop().time())
    host, _, _ = made(session)
    host.on_ended(result(EventLog(3), number_used=number_used, sample=False))
    assert session.requests == ({"r-1": 3} if number_used else {})


async def test_a_newer_turn_of_the_session_stays_its_running_one() -> None:
    session = Session("s")
    host, _, _ = made(session)

    class Runner:
        events = EventLog(4)

    session.running = cast(Any, Runner())
    host.on_ended(result(EventLog(3), sample=False))
    assert session.running is not None
    host.on_ended(result(Runner.events, sample=False))
    assert session.running is None


@pytest.mark.parametrize("follows", [True, False])
async def test_end_says_whether_a_file_follows(follows: bool) -> None:
    host, calls, tasks = made(Session("s"), follows=follows)
    host.enqueue_voice_file(
        TtsRequest(
            task_id="s",
            message_id="s#3",
            text="Hello.",
            response_channel="task_response:s",
            meta=ChainMeta(session_id="s", turn=3),
        )
    )
    await tasks.wait_idle()
    assert names(calls) == ["enqueue_voice_file", "publish"]
    session_id, message = calls[1][1]
    assert session_id == "s"
    assert ('"voiceFollows":true' in message) is follows
