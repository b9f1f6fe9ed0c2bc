import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from dialog_engine.errors import StoreClosed
from dialog_engine.memory_shortterm import ShortTermMemory, StoredTurn


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[ShortTermMemory]:
    opened = ShortTermMemory(tmp_path / "deep" / "engine.db")
    await opened.open()
    yield opened
    await opened.close()


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


async def test_one_connection_holds_the_file_alone(memory: ShortTermMemory, tmp_path: Path) -> None:
    await memory.commit(turn(1))
    intruder = apsw.Connection(str(tmp_path / "deep" / "engine.db"))
    with pytest.raises(apsw.BusyError):
        list(intruder.execute("SELECT * FROM turns"))
    intruder.close()


async def test_a_second_engine_on_the_same_file_is_refused(
    memory: ShortTermMemory, tmp_path: Path
) -> None:
    await memory.commit(turn(1))
    second = ShortTermMemory(tmp_path / "deep" / "engine.db")
    with pytest.raises(apsw.BusyError):
        await second.open()


async def test_it_writes_through_to_the_disk(memory: ShortTermMemory) -> None:
    pragmas = {}
    for name in ("journal_mode", "synchronous", "locking_mode"):
        pragmas[name] = await memory._run(
            lambda db, name=name: next(iter(db.execute(f"PRAGMA {name}")))[0]  # type: ignore[misc]
        )
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


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


async def test_an_error_reaches_the_asker_and_the_thread_lives_on(memory: ShortTermMemory) -> None:
    with pytest.raises(apsw.SQLError):
        await memory._run(lambda db: list(db.execute("SELECT * FROM nothing")))
    await memory.commit(turn(1))
    assert await memory.find("live-001", 1) is not None


async def test_after_close_it_says_so(tmp_path: Path) -> None:
    memory = ShortTermMemory(tmp_path / "x.db")
    await memory.open()
    await memory.close()
    with pytest.raises(StoreClosed):
        await memory.find("a", 1)


async def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    program = f"""
import asyncio
from pathlib import Path
from dialog_engine.memory_shortterm import ShortTermMemory, StoredTurn
async def main():
    memory = ShortTermMemory(Path({str(path)!r}))
    await memory.open()
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
    memory = ShortTermMemory(path)
    await memory.open()
    assert (await memory.load("s", 10, 10)).last_turn >= acknowledged
    await memory.close()
