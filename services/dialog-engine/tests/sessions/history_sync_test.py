from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from dialog_contracts.http import TurnRecord
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.redis_store import EngineStore
from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.session import Session
from dialog_engine.stored_turn import StoredTurn


class Redis:
    """What the engine's store has of one session."""

    def __init__(self) -> None:
        self.turns: dict[int, TurnRecord] = {}
        self.available, self.playing, self.reset_after = True, 0, 0
        self.announced: list[TurnRecord | None] = []

    async def publish_history(
        self, session_id: str, records: Sequence[TurnRecord], said: TurnRecord | None = None
    ) -> bool:
        if self.available:
            self.turns.update({record.turn: record for record in records})
            self.announced.append(said)
        return self.available

    async def turns_since(self, session_id: str, turn: int) -> tuple[list[TurnRecord], int] | None:
        if not self.available:
            return None
        return [self.turns[at] for at in sorted(self.turns) if at > turn], self.reset_after

    async def playing_turn(self, session_id: str) -> int:
        return self.playing

    async def wait_until_stopped(self, session_id: str, turn: int) -> None:
        self.turns[turn] = self.turns[turn].model_copy(update={"reply": "Hel", "interrupted": True})


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[ShortTermMemory]:
    file = database(tmp_path / "turns.db")
    await file.open()
    yield ShortTermMemory(file)
    await file.close()


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def history(memory: ShortTermMemory, redis: Redis) -> HistorySync:
    return HistorySync(memory, cast(EngineStore, redis))


def record(turn: int, reply: str = "Hello.", *, interrupted: bool = False) -> TurnRecord:
    return TurnRecord(turn=turn, user="hi", reply=reply, ts=turn, interrupted=interrupted)


async def test_what_redis_did_not_take_is_published_with_the_next_turn(
    history: HistorySync, redis: Redis
) -> None:
    session = Session("s")
    redis.available = False
    session.add_record(record(1))
    await history.publish(session)
    redis.available = True
    session.add_record(record(2))
    await history.publish(session)
    assert set(redis.turns) == {1, 2}
    assert session.unpublished == {}
    assert redis.announced == [record(2)]


async def test_an_interrupted_turn_is_published_and_not_announced_as_said(
    history: HistorySync, redis: Redis
) -> None:
    session = Session("s")
    session.add_record(record(1, "Hel", interrupted=True))
    await history.publish(session)
    assert redis.announced == [None]


async def test_turns_of_the_other_path_are_imported_into_the_database_and_the_prompt(
    history: HistorySync, redis: Redis, memory: ShortTermMemory
) -> None:
    session = Session("s")
    redis.turns, redis.playing = {1: record(1), 2: record(2, "And you?")}, 2
    await history.import_missing(session, 3)
    assert [each.reply for each in session.prompt_turns(9)] == ["Hello.", "And you?"]
    stored = await memory.find("s", 2)
    assert stored is not None
    assert stored.reply == "And you?"
    assert session.playing_elsewhere_turn == 2


async def test_a_turn_that_was_cut_elsewhere_is_shortened_once_and_never_lengthened(
    history: HistorySync, memory: ShortTermMemory
) -> None:
    session = Session("s")
    await memory.commit(StoredTurn("s", 1, "hi", "Hello.", ts=1))
    session.add_record(record(1))
    await history.truncate_turn("s", 1, "Hel", session)
    stored = await memory.find("s", 1)
    assert stored is not None
    assert (stored.reply, stored.interrupted, stored.revision) == ("Hel", True, 1)
    for other in ("Hello there.", "Hel", "something else"):
        await history.truncate_turn("s", 1, other, session)
    again = await memory.find("s", 1)
    assert again == stored
    assert session.prompt_turns(9)[0].reply == "Hel"


async def test_a_turn_that_still_played_when_it_was_taken_over_is_refreshed_once_it_was_stopped(
    history: HistorySync, redis: Redis, memory: ShortTermMemory
) -> None:
    session = Session("s")
    redis.turns, redis.playing = {1: record(1)}, 1
    await history.import_missing(session, 2)
    await history.refresh_turn(session, 1)
    stored = await memory.find("s", 1)
    assert stored is not None
    assert (stored.reply, stored.interrupted) == ("Hel", True)
    assert session.prompt_turns(9)[0].reply == "Hel"
