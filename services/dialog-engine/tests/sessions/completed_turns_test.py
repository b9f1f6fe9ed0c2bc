from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, TextDeltaEvent
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.sessions import completed_turns
from dialog_engine.sessions.completed_turns import CompletedTurns
from dialog_engine.turn.event_log import EventLog


def log(turn: int, deltas: int, *, done: bool = True) -> EventLog:
    made = EventLog(turn)
    made.append(ControlEvent(action="ACCEPTED"))
    for _ in range(deltas):
        made.append(TextDeltaEvent(content="w "))
    if done:
        made.append(DoneEvent(stats=DoneStats()))
    return made


async def kept(turns: CompletedTurns, *numbers: int) -> list[int]:
    return [number for number in numbers if await turns.get("s", number) is not None]


@pytest.fixture
async def turns(tmp_path: Path) -> AsyncIterator[CompletedTurns]:
    file = database(tmp_path / "engine.db")
    await file.open()
    memory = ShortTermMemory(file)
    yield CompletedTurns(memory)
    await file.close()


async def test_whoever_comes_back_finds_the_very_log(turns: CompletedTurns) -> None:
    told = log(1, 3)
    turns.add("s", 1, told, "r-1")
    known = await turns.get("s", 1)
    assert known is not None
    assert (known.events, known.request_id) == (told, "r-1")
    assert await turns.get("another", 1) is None


async def test_a_turn_that_did_not_end_well_may_be_asked_again(turns: CompletedTurns) -> None:
    turns.add("s", 1, log(1, 3, done=False), "r-1")
    assert await turns.get("s", 1) is None


async def test_memory_is_bounded_by_events_and_not_by_turns(
    turns: CompletedTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completed_turns, "MAX_CACHED_EVENTS", 100)
    for number in range(1, 6):
        turns.add("s", number, log(number, 28), None)
    assert await kept(turns, 1, 2, 3, 4, 5) == [3, 4, 5]
    # The same turn again does not count twice.
    for _ in range(10):
        turns.add("s", 5, log(5, 28), None)
    assert await kept(turns, 3, 4, 5) == [3, 4, 5]
    turns.add("s", 6, log(6, 500), None)
    assert await kept(turns, 3, 4, 5, 6) == [6], "one alone is kept, however long"
