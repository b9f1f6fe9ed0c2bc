"""The power fails while an engine stores turns; afterwards its file is looked at.

The disk loses what was not flushed (`dialog_sqlite/testing/power_cut.py`). Nothing acknowledged may
be missing, and every turn has all of its events or is not there.
"""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import apsw

from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.events import turn_events
from dialog_engine.stored_turn import StoredTurn
from dialog_sqlite.database import Database
from dialog_sqlite.testing.power_cut import PowerCutDisk

FILE = Path("engine.db")
MOST_OPERATIONS = 600


@dataclass(frozen=True, slots=True)
class Cut:
    """What one cut did: turns that were acknowledged, and of these lost; turns without events."""

    acknowledged: int
    lost: int
    halves: int


def cut(seed: int) -> Cut:
    """Store turns until the power fails, and look at the file. Raises AssertionError if damaged."""
    chance = random.Random(seed)
    disk = PowerCutDisk(f"power-{seed}", cut_after=chance.randrange(30, MOST_OPERATIONS))
    acknowledged: set[int] = set()
    asyncio.run(_store(disk, chance, acknowledged))
    after = PowerCutDisk(f"power-{seed}-after", disk.after_cut(chance))
    db = apsw.Connection(str(FILE), vfs=after.vfs_name)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not acknowledged:
            return Cut(0, 0, 0)
        stored = {
            int(str(row[0])): int(str(row[1]))
            for row in db.execute("SELECT turn, revision FROM turns WHERE role = 'assistant'")
        }
        events = {str(row[0]) for row in db.execute("SELECT eventId FROM outbox_events")}
    finally:
        db.close()
    expected = {
        event.event_id
        for turn, revision in stored.items()
        for kept in range(revision + 1)
        for _, event in turn_events(_turn(turn, kept))
    }
    return Cut(
        acknowledged=len(acknowledged),
        lost=len(acknowledged - set(stored)),
        halves=len(expected ^ events),
    )


async def _store(disk: PowerCutDisk, chance: random.Random, acknowledged: set[int]) -> None:
    file = Database(FILE, database(FILE).migrations, name="engine", vfs=disk.vfs_name)
    memory = ShortTermMemory(file)

    async def store(turn: int, revision: int) -> None:
        await memory.commit(_turn(turn, revision))
        acknowledged.add(turn)

    try:
        await file.open()
        turn = 0
        while not disk.is_cut and turn < 300:
            together = range(turn + 1, turn + 1 + chance.randrange(1, 5))
            turn = together[-1]
            results = await asyncio.gather(
                *(store(each, 0) for each in together), return_exceptions=True
            )
            if any(isinstance(result, BaseException) for result in results):
                return
            if chance.random() < 0.3:
                await store(turn, 1)
    except apsw.Error:
        return
    finally:
        await file.close()


def _turn(turn: int, revision: int) -> StoredTurn:
    return StoredTurn(
        "s",
        turn,
        "question",
        "answer" * 20,
        1_790_000_000,
        interrupted=bool(revision),
        revision=revision,
        events=True,
    )
