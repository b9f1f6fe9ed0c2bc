"""The engine's database: turns and resets in SQLite.

When a method returns, its data survives a power failure (WAL with `synchronous=FULL`). A turn is
two rows, the user's text and the reply, written in one transaction. A later revision replaces the
reply; an older one never does.

SQLite calls block, so one thread executes them in the order of the calls. Each job is a whole
transaction: a caller that is cancelled leaves nothing half written.

There is one connection, and it locks the file exclusively. Two engines therefore cannot use one
volume by accident, and SQLite's problems with several concurrent writers cannot occur.

Migrations are the numbered files in `migrations/`. The path is checked in `database_file.py`
before.
"""

import asyncio
import json
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeVar

import apsw
import structlog

from dialog_contracts.http import TurnRecord
from dialog_engine.errors import StoreClosed

T = TypeVar("T")
log = structlog.get_logger("memory")

MIN_SQLITE_VERSION: Final = (3, 51, 3)
"""Older versions can lose committed transactions in WAL mode."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it is stored.

    `ts` is in Unix seconds. `shape` has the lengths of the reply's deltas, and `stats` the figures
    of `done` as JSON. `path` says which path answered.
    """

    session_id: str
    turn: int
    user: str
    reply: str
    ts: int
    request_id: str | None = None
    interrupted: bool = False
    revision: int = 0
    shape: tuple[int, ...] = ()
    stats: str = "{}"
    path: Literal["sync", "legacy"] = "sync"

    def record(self) -> TurnRecord:
        """Return the turn in the form of the shared history."""
        return TurnRecord(
            turn=self.turn,
            user=self.user,
            reply=self.reply,
            ts=self.ts,
            interrupted=self.interrupted,
            path=self.path,
            request_id=self.request_id,
        )


@dataclass(frozen=True, slots=True)
class SessionImage:
    """The stored state of a session that its lease holder keeps in memory."""

    last_turn: int
    reset_after: int
    recent: list[StoredTurn]
    """Oldest first."""

    requests: dict[str, int]
    """Request ids of the latest messages, and the numbers of their turns."""


class Unstorable(apsw.Error):
    """SQLite cannot store or read this value, for example a text with half of a surrogate pair."""


_SELECT: Final = """
SELECT u.sessionId, u.turn, u.text, a.text, a.ts, u.requestId, a.interrupted, a.revision, a.shape, a.stats, a.path
FROM turns u JOIN turns a ON a.sessionId = u.sessionId AND a.turn = u.turn AND a.role = 'assistant'
WHERE u.role = 'user' AND u.sessionId = ?
"""
_LAST: Final = """
SELECT max(coalesce((SELECT max(turn) FROM turns WHERE sessionId = ?1), 0),
           coalesce((SELECT afterTurn FROM session_resets WHERE sessionId = ?1), 0))
"""
_REQUESTS: Final = """
SELECT requestId, turn FROM turns WHERE sessionId = ? AND role = 'user' AND requestId IS NOT NULL ORDER BY turn DESC LIMIT ?
"""


class ShortTermMemory:
    """Async interface of the database thread. Every method may raise apsw.Error or StoreClosed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[Callable[[apsw.Connection], None] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Start the thread, open or create the file, and run missing migrations.

        Raises RuntimeError if SQLite is older than MIN_SQLITE_VERSION, apsw.Error and OSError.
        """
        found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
        if found < MIN_SQLITE_VERSION:
            raise RuntimeError(
                f"SQLite {apsw.sqlite_lib_version()} can lose commits in WAL mode; 3.51.3 or newer "
                "is needed"
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(
            target=self._serve,
            args=(asyncio.get_running_loop(), opened),
            name="sqlite",
            daemon=True,
        )
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Finish queued jobs, checkpoint, and close the file."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def commit(self, stored: StoredTurn) -> None:
        """Store a turn, or a later revision of it.

        An older revision never replaces a newer one.
        """

        def work(db: apsw.Connection) -> None:
            with db:
                db.execute(
                    "INSERT INTO turns(sessionId, turn, role, text, ts, requestId) "
                    "VALUES(?,?,'user',?,?,?) ON CONFLICT DO NOTHING",
                    (stored.session_id, stored.turn, stored.user, stored.ts, stored.request_id),
                )
                db.execute(
                    """INSERT INTO turns(sessionId, turn, role, text, ts, interrupted, revision, shape, stats, path)
                       VALUES(?,?,'assistant',?,?,?,?,?,?,?)
                       ON CONFLICT(sessionId, turn, role) DO UPDATE SET
                         text = excluded.text, interrupted = excluded.interrupted, revision = excluded.revision,
                         shape = excluded.shape, stats = excluded.stats
                       WHERE excluded.revision > revision""",
                    (
                        stored.session_id,
                        stored.turn,
                        stored.reply,
                        stored.ts,
                        int(stored.interrupted),
                        stored.revision,
                        json.dumps(stored.shape),
                        stored.stats,
                        stored.path,
                    ),
                )

        await self._run(work)

    async def load(self, session_id: str, turns: int, requests: int) -> SessionImage:
        """Return the session's last `turns` turns and its last `requests` request ids."""

        def work(db: apsw.Connection) -> SessionImage:
            reset = list(
                db.execute(
                    "SELECT afterTurn FROM session_resets WHERE sessionId = ?", (session_id,)
                )
            )
            rows = db.execute(f"{_SELECT} ORDER BY u.turn DESC LIMIT ?", (session_id, turns))
            recent = [_stored(row) for row in reversed(list(rows))]
            keys = {
                str(key): int(str(turn))
                for key, turn in db.execute(_REQUESTS, (session_id, requests))
            }
            return SessionImage(_last(db, session_id), reset[0][0] if reset else 0, recent, keys)

        return await self._run(work)

    async def find(self, session_id: str, turn: int) -> StoredTurn | None:
        """Return one turn by its number, or None."""
        rows = await self._run(
            lambda db: list(db.execute(_SELECT + " AND u.turn = ?", (session_id, turn)))
        )
        return _stored(rows[0]) if rows else None

    async def reset(self, session_id: str, after_turn: int) -> None:
        """Begin prompts of the session after this turn."""

        def work(db: apsw.Connection) -> None:
            db.execute(
                "INSERT INTO session_resets VALUES(?,?) ON CONFLICT(sessionId) DO UPDATE SET "
                "afterTurn = excluded.afterTurn",
                (session_id, after_turn),
            )

        await self._run(work)

    async def _run(self, work: Callable[[apsw.Connection], T]) -> T:
        if self._thread is None:
            raise StoreClosed("the database is closed")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def job(db: apsw.Connection) -> None:
            # The transaction ends before the result is set, so a cancelled caller leaves nothing
            # half written.
            try:
                value = work(db)
            except apsw.Error as error:
                loop.call_soon_threadsafe(_fail, result, error)
            except (ValueError, TypeError, OverflowError) as error:
                # A text that SQLite cannot encode fails only this call: the thread serves all
                # callers.
                loop.call_soon_threadsafe(_fail, result, Unstorable(repr(error)))
            else:
                loop.call_soon_threadsafe(_succeed, result, value)

        self._jobs.put(job)
        return await result

    def _serve(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            db = _connect(self._path)
        except (apsw.Error, OSError) as error:
            loop.call_soon_threadsafe(_fail, opened, error)
            return
        loop.call_soon_threadsafe(_succeed, opened, None)
        while (job := self._jobs.get()) is not None:
            job(db)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()


def _connect(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    version = next(iter(db.execute("PRAGMA user_version")))[0]
    folder = resources.files("dialog_engine") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        number = int(file.name.split("_")[0]) if file.name.endswith(".sql") else 0
        if number > version:
            with db:
                db.execute(file.read_text(encoding="utf-8"))
                db.execute(f"PRAGMA user_version={number}")
            log.info("migrated", file=file.name)
    return db


def _last(db: apsw.Connection, session_id: str) -> int:
    return int(next(iter(db.execute(_LAST, (session_id,))))[0])


def _stored(row: tuple[object, ...]) -> StoredTurn:
    session_id, turn, user, reply, ts, request_id, interrupted, revision, shape, stats, path = row
    return StoredTurn(
        session_id=str(session_id),
        turn=int(str(turn)),
        user=str(user),
        reply=str(reply),
        ts=int(str(ts)),
        request_id=None if request_id is None else str(request_id),
        interrupted=bool(interrupted),
        revision=int(str(revision)),
        shape=tuple(json.loads(str(shape or "[]"))),
        stats=str(stats or "{}"),
        path="legacy" if path == "legacy" else "sync",
    )


def _succeed(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
