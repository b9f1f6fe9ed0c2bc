from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.rows import StreamId, StreamPosition
from dialog_engine.outbox.store import Delivered, Failed, OutboxStore
from dialog_engine.stored_turn import StoredTurn
from dialog_sqlite.database import Database

NOW = 1_790_000_000_000


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    opened = database(tmp_path / "engine.db")
    await opened.open()
    yield opened
    await opened.close()


async def test_results_of_a_batch_are_stored_together(file: Database) -> None:
    store = OutboxStore(file)
    for turn in (1, 2):
        await ShortTermMemory(file).commit(StoredTurn("a", turn, "q", "a", 1, events=True))
    first, second, third, _ = await store.due(NOW, 10)
    await store.record(
        [
            Delivered(first.id, StreamId(7, 1)),
            Failed(second.id, "later", NOW + 1_000),
            Failed(third.id, "never", None),
        ],
        NOW,
    )
    backlog = await store.backlog()
    assert (backlog.waiting, backlog.parked) == (2, 1)
    assert [row.reason for row in await store.parked(5)] == ["never"]


async def test_a_move_stores_the_place_and_what_was_lost_waits_again(file: Database) -> None:
    store = OutboxStore(file)
    await ShortTermMemory(file).commit(StoredTurn("a", 1, "q", "a", 1, events=True))
    due = await store.due(NOW, 10)
    await store.record([Delivered(row.id, StreamId(7, 1)) for row in due], NOW)
    where = StreamPosition("run2", "stream1")
    assert await store.moved("events.ltm", where, "7-1") == 0
    assert await store.moved("events.ltm", where, "7-0") == 1
    assert await store.position("events.ltm") == where
    assert await store.moved("events.analytics", where, None) == 1
