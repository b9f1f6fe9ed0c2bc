from pathlib import Path

import apsw
import pytest

from dialog_sqlite import connection
from dialog_sqlite.errors import NewerDatabase, UnusableDatabase


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a(x); INSERT INTO a VALUES(1)")
    return folder


def test_missing_migrations_run_once_and_in_order(tmp_path: Path, migrations: Path) -> None:
    path = tmp_path / "x.db"
    connection.connect(path, migrations).close()
    (migrations / "0003_c.sql").write_text("ALTER TABLE b ADD COLUMN z DEFAULT 7")
    (migrations / "0002_b.sql").write_text("CREATE TABLE b AS SELECT x FROM a")
    for _ in range(2):
        db = connection.connect(path, migrations)
        assert db.execute("SELECT x, z FROM b").fetchall() == [(1, 7)]
        assert connection.user_version(db) == 3
        db.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, migrations: Path) -> None:
    path = tmp_path / "x.db"
    connection.connect(path, migrations).close()
    (migrations / "0002_b.sql").write_text("CREATE TABLE b(x); INSERT INTO nothing VALUES(1)")
    with pytest.raises(apsw.SQLError):
        connection.connect(path, migrations)
    (migrations / "0002_b.sql").unlink()
    db = connection.connect(path, migrations)
    assert connection.user_version(db) == 1
    assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'b'").fetchall()
    db.close()


def test_a_newer_file_is_read_unless_it_says_that_it_must_not(
    tmp_path: Path, migrations: Path
) -> None:
    path = tmp_path / "x.db"
    db = connection.connect(path, migrations)
    db.execute("ALTER TABLE a ADD COLUMN newer; PRAGMA user_version=9")
    db.close()
    db = connection.connect(path, migrations)
    assert db.execute("SELECT x FROM a").fetchall() == [(1,)]
    db.execute("UPDATE schema_compatibility SET minReader = 9")
    db.close()
    with pytest.raises(
        NewerDatabase, match=r"x\.db was written by a newer version.* needs schema 9"
    ):
        connection.connect(path, migrations)


def test_a_damaged_file_is_named(tmp_path: Path, migrations: Path) -> None:
    path = tmp_path / "x.db"
    db = connection.connect(path, migrations)
    db.execute("CREATE TABLE big(x); INSERT INTO big VALUES(randomblob(200000))")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    raw = bytearray(path.read_bytes())
    raw[8192:20480] = b"\xff" * 12288
    path.write_bytes(bytes(raw))
    with pytest.raises((UnusableDatabase, apsw.CorruptError)):
        connection.connect(path, migrations)


def test_it_writes_through_to_the_disk_and_alone(tmp_path: Path, migrations: Path) -> None:
    db = connection.connect(tmp_path / "x.db", migrations)
    found = {
        name: next(iter(db.execute(f"PRAGMA {name}")))[0]
        for name in ("journal_mode", "synchronous", "locking_mode")
    }
    assert found == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}
    db.close()


def test_an_sqlite_that_can_lose_commits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.require_sqlite_version()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.45.1")
    with pytest.raises(RuntimeError, match="3.45.1 can lose commits"):
        connection.require_sqlite_version()
