import os
from pathlib import Path

import apsw
import pytest

from dialog_sqlite.errors import UnusableDatabase
from dialog_sqlite.file_check import check


def refused(path: Path) -> str:
    with pytest.raises(UnusableDatabase) as refusal:
        check(path, "DIALOG_ENGINE_DB")
    said = str(refusal.value)
    assert said.startswith("DIALOG_ENGINE_DB: ")
    assert "set another file" in said
    return said


def database(path: Path) -> Path:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(100000))")
    db.close()
    return path


def test_one_that_is_not_there_yet_and_one_that_is_are_fine(tmp_path: Path) -> None:
    check(tmp_path / "deep" / "new.db", "DIALOG_ENGINE_DB")
    (tmp_path / "empty.db").write_bytes(b"")
    check(tmp_path / "empty.db", "DIALOG_ENGINE_DB")
    check(database(tmp_path / "good.db"), "DIALOG_ENGINE_DB")


@pytest.mark.parametrize(
    "garbage", [b"x" * 600, b"not a database at all " * 500, b"SQLite format 3\0" + b"\xff" * 5_000]
)
def test_garbage_is_named(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "engine.db"
    path.write_bytes(garbage)
    assert f"{path} is not an SQLite database, or is damaged" in refused(path)
    assert path.read_bytes() == garbage


def test_a_folder_in_its_place_and_a_file_in_its_folders_place_are_named(tmp_path: Path) -> None:
    assert f"{tmp_path} is a folder, but must be a file" in refused(tmp_path)
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} is not a folder" in refused(tmp_path / "file" / "engine.db")


def test_one_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "engine.db")
    # Root may write everywhere: the kernel's answer is given in its place.
    monkeypatch.setattr(os, "access", lambda each, mode: each != path)
    assert f"{path} cannot be written" in refused(path)


def test_one_that_another_process_holds_is_no_wrong_setting(tmp_path: Path) -> None:
    path = database(tmp_path / "engine.db")
    holder = apsw.Connection(str(path))
    holder.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; SELECT * FROM t")
    check(path, "DIALOG_ENGINE_DB")
    holder.close()
