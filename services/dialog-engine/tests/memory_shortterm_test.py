import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import apsw
import pytest

from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.stored_turn import StoredTurn
from dialog_sqlite.database import Database


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    opened = database(tmp_path / "deep" / "engine.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def memory(file: Database) -> ShortTermMemory:
    return ShortTermMemory(file)


def turn(number: int, session: str = "live-001", **changes: object) -> StoredTurn:
    stored = StoredTurn(
        session,
        number,
        f"question {number}",
        f"answer {number}",
        1_700_000_000 + number,
        f"r{number}",
        shape=(7, 1),
    )
    return replace(stored, **changes)  # type: ignore[arg-type]


async def test_a_turn_comes_back_as_it_was_stored(memory: ShortTermMemory) -> None:
    await memory.commit(turn(1))
    assert await memory.find("live-001", 1) == turn(1)
    assert await memory.find("live-001", 2) is None
    assert await memory.find("live-002", 1) is None


async def test_what_cannot_be_stored_is_its_writers_failure_and_nobody_elses(
    memory: ShortTermMemory,
) -> None:
    with pytest.raises(apsw.Error, match="surrogates"):
        await memory.commit(turn(1, reply="half a character: \ud83d"))
    await memory.commit(turn(2))
    assert await memory.find("live-001", 2) == turn(2)


async def test_a_session_is_loaded_with_its_last_turns_oldest_first(
    memory: ShortTermMemory,
) -> None:
    for number in range(1, 31):
        await memory.commit(turn(number))
    await memory.commit(turn(1, "other"))
    image = await memory.load("live-001", 10, 5)
    assert [stored.turn for stored in image.recent] == list(range(21, 31))
    assert image.last_turn == 30
    assert image.requests == {f"r{number}": number for number in range(26, 31)}
    empty = await memory.load("nobody", 10, 5)
    assert (empty.last_turn, empty.recent, empty.requests) == (0, [], {})


async def test_the_heard_text_replaces_the_reply_and_an_older_revision_never_does(
    memory: ShortTermMemory,
) -> None:
    await memory.commit(turn(1))
    await memory.commit(turn(1, reply="ans", interrupted=True, revision=1))
    await memory.commit(turn(1))
    stored = await memory.find("live-001", 1)
    assert stored is not None
    assert (stored.reply, stored.interrupted, stored.revision) == ("ans", True, 1)


async def test_reset_is_remembered_and_takes_its_number(memory: ShortTermMemory) -> None:
    await memory.commit(turn(1))
    await memory.reset("live-001", 2)
    image = await memory.load("live-001", 10, 5)
    assert (image.reset_after, image.last_turn) == (2, 2)


async def test_a_cancelled_caller_leaves_whole_turns_and_the_next_answer_is_its_own(
    memory: ShortTermMemory,
) -> None:
    for number in range(1, 60):
        writing = asyncio.create_task(memory.commit(turn(number)))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        found = await memory.find("live-001", number)
        assert found is None or found == turn(number)


async def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    program = f"""
import asyncio
from pathlib import Path
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.stored_turn import StoredTurn
async def main():
    file = database(Path({str(path)!r}))
    await file.open()
    memory = ShortTermMemory(file)
    for number in range(1, 10_000):
        await memory.commit(StoredTurn("s", number, "q", "a", 0))
        print(number, flush=True)
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = 0
    while acknowledged < 20:
        line = await child.stdout.readline()
        acknowledged = int(line) if line.strip().isdigit() else acknowledged
    os.kill(child.pid, signal.SIGKILL)
    rest = await child.stdout.read()
    acknowledged = max([acknowledged, *(int(line) for line in rest.split() if line.isdigit())])
    await child.wait()
    file = database(path)
    await file.open()
    assert (await ShortTermMemory(file).load("s", 10, 10)).last_turn >= acknowledged
    await file.close()


async def test_only_the_latest_turns_of_a_session_are_kept(file: Database) -> None:
    memory = ShortTermMemory(file, turns_kept=5)
    for number in range(1, 9):
        await memory.commit(turn(number))
    await memory.commit(turn(1, "other"))
    image = await memory.load("live-001", 100, 100)
    assert [stored.turn for stored in image.recent] == [4, 5, 6, 7, 8]
    assert await memory.find("other", 1) is not None


async def test_who_spoke_and_whether_it_has_events_comes_back(memory: ShortTermMemory) -> None:
    told = turn(
        1,
        viewer_id="twitch:1",
        lang="zh",
        events=True,
        vectorize=True,
        epoch=7,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    await memory.commit(told)
    assert await memory.find("live-001", 1) == told


async def test_turn_and_events_are_stored_together_or_not_at_all(
    memory: ShortTermMemory, file: Database
) -> None:
    await file.read(lambda db: db.execute("DROP TABLE outbox_events").fetchall())
    with pytest.raises(apsw.SQLError):
        await memory.commit(turn(1, events=True))
    assert await memory.find("live-001", 1) is None


async def test_a_file_of_version_0_2_is_migrated_and_still_written_by_it(
    tmp_path: Path,
) -> None:
    """Commit 23df4f9 names its columns, and ignores those that it does not know."""
    path = tmp_path / "old.db"
    old = apsw.Connection(str(path))
    folder = resources.files("dialog_engine") / "migrations"
    for name in ("0001_turns.sql", "0002_path.sql"):
        old.execute((folder / name).read_text(encoding="utf-8"))
    insert = "INSERT INTO turns(sessionId, turn, role, text, ts) VALUES('s', ?, ?, 'text', 1)"
    old.executemany(insert, [(1, "user"), (1, "assistant")])
    old.execute("PRAGMA user_version=2")
    old.close()
    file = database(path)
    await file.open()
    memory = ShortTermMemory(file)
    found = await memory.find("s", 1)
    assert found is not None
    assert (found.events, found.viewer_id, found.epoch) == (False, None, None)
    await memory.commit(turn(2, "s", events=True))
    await file.close()
    old = apsw.Connection(str(path))
    old.executemany(insert, [(3, "user"), (3, "assistant")])
    old.close()
    await file.open()
    assert (await memory.load("s", 10, 10)).last_turn == 3
    await file.close()
