"""Opens a database file: pragmas, recovery, integrity check and migrations.

The connection locks the file exclusively. A second process on the same volume therefore fails to
open it, no shared-memory file is needed, and SQLite's known problem with several writers in WAL
mode cannot occur. `synchronous=FULL` makes each commit durable before it returns.

Migrations are numbered files, `0001_name.sql`, in a folder of the service; each runs in one
transaction with its number as `user_version`. They only add: an older version of the service that
opens a newer file ignores what it does not know. A migration that an older version could not live
with raises `minReader` in the table `schema_compatibility`; a version below it refuses the file.
"""

import time
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import apsw
import structlog

from dialog_sqlite.errors import NewerDatabase, UnusableDatabase

log = structlog.get_logger("database")

MIN_SQLITE_VERSION: Final = (3, 51, 3)
"""Older versions can lose committed transactions in WAL mode."""

CHECK_TIME_S: Final = 1.0
"""Seconds that the integrity check at startup may take; a larger file is checked in part."""

WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Size to which the WAL file is truncated after a transaction that needed more."""

_PROGRESS_STEPS: Final = 20_000
_COMPATIBILITY: Final = """
CREATE TABLE IF NOT EXISTS schema_compatibility(
  id INTEGER PRIMARY KEY CHECK (id = 1), minReader INTEGER NOT NULL
);
INSERT OR IGNORE INTO schema_compatibility VALUES(1, 1);
"""


def require_sqlite_version() -> None:
    """Raise RuntimeError if SQLite is older than MIN_SQLITE_VERSION."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < MIN_SQLITE_VERSION:
        raise RuntimeError(
            f"SQLite {apsw.sqlite_lib_version()} can lose commits in WAL mode; 3.51.3 or newer is "
            "needed"
        )


def connect(path: Path, migrations: Traversable, *, vfs: str | None = None) -> apsw.Connection:
    """Open or create the file and bring it to the newest version.

    `vfs` is an SQLite VFS, for tests that simulate a power failure. Raises apsw.Error, OSError,
    NewerDatabase, and UnusableDatabase for a damaged file.
    """
    db = apsw.Connection(str(path), vfs=vfs)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
        _check_integrity(db, path)
        migrate(db, migrations, path)
    except BaseException:
        db.close()
        raise
    return db


def migrate(db: apsw.Connection, migrations: Traversable, path: Path) -> None:
    """Run the migrations that the file lacks. Raises NewerDatabase and apsw.Error."""
    numbered = migration_files(migrations)
    newest = max(numbered, default=0)
    version = user_version(db)
    if version > newest:
        required = min_reader(db)
        if required > newest:
            raise NewerDatabase(
                f"{path} was written by a newer version: it needs schema {required}, and this "
                f"version knows {newest}. Run the newer version, or restore an older backup"
            )
        log.info("newer_file", version=version, known=newest)
    for number in sorted(numbered):
        if number > version:
            file = numbered[number]
            with db:
                db.execute(_COMPATIBILITY)
                db.execute(file.read_text(encoding="utf-8"))
                db.execute(f"PRAGMA user_version={number}")
            log.info("migrated", file=file.name)


def migration_files(folder: Traversable) -> dict[int, Traversable]:
    """Return the migrations by their number."""
    return {
        int(entry.name.split("_")[0]): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    }


def user_version(db: apsw.Connection) -> int:
    """Return the number of the last migration that the file has."""
    return int(next(iter(db.execute("PRAGMA user_version")))[0])


def min_reader(db: apsw.Connection) -> int:
    """Return the lowest schema number that a version must know to read the file."""
    known = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_compatibility'"
    if not next(iter(db.execute(known)))[0]:
        return 1
    return int(next(iter(db.execute("SELECT minReader FROM schema_compatibility")))[0])


def _check_integrity(db: apsw.Connection, path: Path) -> None:
    until = time.monotonic() + CHECK_TIME_S
    db.set_progress_handler(lambda: time.monotonic() > until, _PROGRESS_STEPS)
    try:
        found = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
    except apsw.InterruptError:
        log.info("integrity_check_partial", reason=f"it took longer than {CHECK_TIME_S} s")
        return
    finally:
        db.set_progress_handler(None)
    if found != ["ok"]:
        raise UnusableDatabase(
            f"{path} is damaged ({'; '.join(found)[:300]}); move it away and restore a backup"
        )
