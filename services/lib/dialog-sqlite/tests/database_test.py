import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from dialog_sqlite import database
from dialog_sqlite.database import Database
from dialog_sqlite.errors import NotABackup, StoreClosed, Unstorable
from dialog_sqlite.testing.power_cut import PowerCutDisk


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_words.sql").write_text("CREATE TABLE words(word TEXT PRIMARY KEY)")
    return folder


@pytest.fixture
async def opened(tmp_path: Path, migrations: Path) -> AsyncIterator[Database]:
    made = Database(tmp_path / "deep" / "words.db", migrations, name="words")
    await made.open()
    yield made
    await made.close()


def add(word: Any) -> Any:
    return lambda db: db.execute("INSERT INTO words VALUES(?)", (word,)).fetchall()


def words(db: apsw.Connection) -> list[str]:
    return [str(row[0]) for row in db.execute("SELECT word FROM words ORDER BY rowid")]


async def test_writes_that_wait_together_share_one_transaction(opened: Database) -> None:
    commits: list[int] = []

    def note() -> bool:
        commits.append(1)
        return False

    await opened.read(lambda db: db.set_commit_hook(note))
    await asyncio.gather(*(opened.write(add(f"w{number}")) for number in range(200)))
    assert await opened.read(words) == [f"w{number}" for number in range(200)]
    # The first is alone, as nothing else waits yet.
    assert len(commits) <= 200 / database.MAX_GROUP + 3


async def test_a_write_that_fails_is_undone_alone(opened: Database) -> None:
    def half(db: apsw.Connection) -> None:
        db.execute("INSERT INTO words VALUES('half')")
        raise ValueError("no")

    def broken(db: apsw.Connection) -> None:
        raise KeyError("an error of the caller")

    results = await asyncio.gather(
        opened.write(add("a")),
        opened.write(half),
        opened.write(add("a")),
        opened.write(broken),
        opened.write(add("b")),
        return_exceptions=True,
    )
    assert [type(each) for each in results] == [
        list,
        Unstorable,
        apsw.ConstraintError,
        KeyError,
        list,
    ]
    assert await opened.read(words) == ["a", "b"]


async def test_a_read_sees_every_write_before_it(opened: Database) -> None:
    found = await asyncio.gather(
        opened.write(add("a")), opened.read(words), opened.write(add("b")), opened.read(words)
    )
    assert (found[1], found[3]) == (["a"], ["a", "b"])


async def test_a_cancelled_caller_gives_its_answer_to_nobody(opened: Database) -> None:
    chance = random.Random(7)
    for number in range(500):
        writing = asyncio.create_task(opened.write(add(f"w{number}")))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.7:
            writing.cancel()
        mine = await opened.read(
            lambda db, number=number: next(iter(db.execute("SELECT ?", (number,))))[0]  # type: ignore[misc]
        )
        assert mine == number
        await asyncio.gather(writing, return_exceptions=True)


async def test_the_file_belongs_to_one_process(opened: Database, migrations: Path) -> None:
    await opened.write(add("a"))
    second = Database(opened.path, migrations, name="words")
    with pytest.raises(apsw.BusyError):
        await second.open()


async def test_after_close_it_says_so(opened: Database) -> None:
    await opened.close()
    with pytest.raises(StoreClosed):
        await opened.read(words)


async def test_the_wal_is_checkpointed_between_writes_and_stays_small(opened: Database) -> None:
    for _ in range(40):
        await asyncio.gather(*(opened.write(add(random.randbytes(20_000))) for _ in range(20)))
    await asyncio.sleep(0)
    wal = Path(f"{opened.path}-wal")
    assert wal.stat().st_size < (database.MAX_WAL_PAGES + 1_000) * 4_200


async def test_a_full_disk_fails_the_writes_and_space_ends_it(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PROBE_INTERVAL_S", 0.02)
    pages = await opened.read(lambda db: next(iter(db.execute("PRAGMA page_count")))[0])
    await opened.read(lambda db: db.execute(f"PRAGMA max_page_count={pages + 1}").fetchall())
    results = await asyncio.gather(
        *(opened.write(add(random.randbytes(9_000))) for _ in range(3)), return_exceptions=True
    )
    assert {type(each) for each in results} == {apsw.FullError}
    assert opened.failing is not None
    assert opened.failing.startswith("FullError")
    await opened.read(lambda db: db.execute("PRAGMA max_page_count=100000").fetchall())
    async with asyncio.timeout(20):
        while opened.failing is not None:
            await asyncio.sleep(0.01)
    await opened.write(add("a"))


async def test_a_backup_taken_under_load_is_whole(
    opened: Database, tmp_path: Path, migrations: Path
) -> None:
    for _ in range(8):
        await opened.write(add(random.randbytes(400_000)))
    before = set(await opened.read(words))
    copying = asyncio.create_task(opened.backup(tmp_path / "copy.db"))
    written = 0
    while not copying.done():
        await opened.write(add(f"during {written}"))
        written += 1
    await copying
    copy = apsw.Connection(str(tmp_path / "copy.db"))
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert before <= set(words(copy))
    copy.close()
    with pytest.raises(FileExistsError):
        await opened.backup(tmp_path / "copy.db")


async def test_a_restore_replaces_everything_and_outlives_the_process(
    opened: Database, tmp_path: Path, migrations: Path
) -> None:
    await opened.write(add("old"))
    await opened.backup(tmp_path / "copy.db")
    await opened.write(add("new"))
    await opened.restore(tmp_path / "copy.db")
    assert await opened.read(words) == ["old"]
    await opened.write(add("later"))
    await opened.close()
    again = Database(opened.path, migrations, name="words")
    await again.open()
    assert await again.read(words) == ["old", "later"]
    await again.close()


async def test_what_is_no_backup_is_refused_and_changes_nothing(
    opened: Database, tmp_path: Path
) -> None:
    await opened.write(add("kept"))
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 1_000)
    (tmp_path / "empty.db").write_bytes(b"")
    newer = apsw.Connection(str(tmp_path / "newer.db"))
    newer.execute(
        "CREATE TABLE schema_compatibility(id, minReader); "
        "INSERT INTO schema_compatibility VALUES(1, 99); PRAGMA user_version=99"
    )
    newer.close()
    for name in ("garbage.db", "empty.db", "newer.db", "missing.db"):
        with pytest.raises(NotABackup, match=name):
            await opened.restore(tmp_path / name)
    assert await opened.read(words) == ["kept"]


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_loses_no_acknowledged_write(seed: int, migrations: Path) -> None:
    """Fifty cuts a seed, each at another operation of the disk."""
    chance = random.Random(seed)
    for cut in range(50):
        name = f"cut-{seed}-{cut}"
        disk = PowerCutDisk(name, cut_after=chance.randrange(20, 400))
        acknowledged: list[str] = []

        async def write(name: str = name, acknowledged: list[str] = acknowledged) -> None:
            made = Database(Path("words.db"), migrations, name="words", vfs=name)
            try:
                await made.open()
                for number in range(40):
                    group = [f"{number}.{each}" for each in range(3)]
                    results = await asyncio.gather(
                        *(made.write(add(each)) for each in group), return_exceptions=True
                    )
                    acknowledged += [
                        each
                        for each, result in zip(group, results, strict=True)
                        if not isinstance(result, BaseException)
                    ]
            except apsw.Error:
                return
            finally:
                await made.close()

        asyncio.run(write())
        content = disk.after_cut(chance)
        after = PowerCutDisk(f"{name}-after", content)
        db = apsw.Connection("words.db", vfs=after.vfs_name)
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if acknowledged:
            assert set(acknowledged) <= set(words(db))
        db.close()
