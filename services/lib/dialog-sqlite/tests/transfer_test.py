import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from dialog_sqlite import transfer as transfers
from dialog_sqlite.database import Database
from dialog_sqlite.errors import NotABackup
from dialog_sqlite.transfer import DatabaseBusy, DatabaseTransfer, UploadRefused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_words.sql").write_text("CREATE TABLE words(word TEXT)")
    made = Database(tmp_path / "data" / "words.db", folder, name="words")
    await made.open()
    yield made
    await made.close()


async def add(file: Database, word: str) -> None:
    await file.write(lambda db: db.execute("INSERT INTO words VALUES(?)", (word,)).fetchall())


async def words(file: Database) -> list[str]:
    return await file.read(lambda db: [str(row[0]) for row in db.execute("SELECT word FROM words")])


async def send(transfer: DatabaseTransfer, data: bytes, piece: int = 1_000) -> str:
    name = await transfer.begin()
    for at in range(0, len(data), piece):
        assert await transfer.add(name, at, data[at : at + piece]) == min(at + piece, len(data))
    return name


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_a_copy_that_is_sent_back_restores_what_was(file: Database) -> None:
    done: list[str] = []

    async def restored() -> None:
        done.extend(await words(file))

    transfer = DatabaseTransfer(file, on_restored=restored)
    await add(file, "old")
    async with transfer.copy() as path:
        data = path.read_bytes()
    assert not path.exists()
    await add(file, "new")
    name = await send(transfer, data)
    assert await transfer.restore(name, digest(data)) == len(data)
    assert done == await words(file) == ["old"]
    assert [entry.name for entry in file.path.parent.iterdir()] == ["words.db", "words.db-wal"]


async def test_a_piece_that_comes_twice_is_taken_once_and_a_gap_is_refused(file: Database) -> None:
    transfer = DatabaseTransfer(file)
    name = await transfer.begin()
    assert await transfer.add(name, 0, b"abc") == 3
    assert await transfer.add(name, 0, b"abc") == 3
    with pytest.raises(UploadRefused, match="9 does not follow 3"):
        await transfer.add(name, 9, b"x")
    with pytest.raises(UploadRefused, match="not known"):
        await transfer.add("another", 3, b"x")
    await transfer.aclose()


async def test_what_did_not_arrive_whole_or_is_no_backup_changes_nothing(file: Database) -> None:
    transfer = DatabaseTransfer(file)
    await add(file, "kept")
    name = await send(transfer, b"damaged on the way")
    with pytest.raises(UploadRefused, match="sha256"):
        await transfer.restore(name, digest(b"something else"))
    name = await send(transfer, b"no database" * 500)
    with pytest.raises(NotABackup):
        await transfer.restore(name, digest(b"no database" * 500))
    assert await words(file) == ["kept"]
    assert not list(file.path.parent.glob(".*.db"))


async def test_a_database_in_use_is_not_replaced(file: Database) -> None:
    busy: list[str] = ["2 turns are running"]
    transfer = DatabaseTransfer(file, busy=lambda: busy[0] if busy else None)
    async with transfer.copy() as path:
        data = path.read_bytes()
    name = await send(transfer, data, 50_000)
    with pytest.raises(DatabaseBusy, match="2 turns"):
        await transfer.restore(name, digest(data))
    busy.clear()
    await transfer.restore(name, digest(data))


async def test_one_restore_at_a_time_until_it_is_given_up(file: Database) -> None:
    clock = Clock()
    transfer = DatabaseTransfer(file, clock=clock)
    first = await transfer.begin()
    with pytest.raises(UploadRefused, match="another restore"):
        await transfer.begin()
    clock.now += transfers.UPLOAD_IDLE_S + 1
    second = await transfer.begin()
    assert second != first
    await transfer.aclose()
    assert not list(file.path.parent.glob(".*.db"))


async def test_an_upload_leaves_the_disk_its_space(
    file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "SPARE_BYTES", 2**60)
    transfer = DatabaseTransfer(file)
    with pytest.raises(UploadRefused, match="no space"):
        await transfer.add(await transfer.begin(), 0, b"x")
    await transfer.aclose()


async def test_a_copy_that_cannot_be_made_leaves_nothing(file: Database) -> None:
    transfer = DatabaseTransfer(file)
    await file.read(lambda db: db.execute("PRAGMA user_version").fetchall())
    file.path.parent.chmod(0o755)
    async with transfer.copy() as path:
        copy = apsw.Connection(str(path))
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        copy.close()
    assert not list(file.path.parent.glob(".*.db"))
