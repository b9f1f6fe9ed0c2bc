"""Short-term memory: turns and resets in the engine's database.

When a method returns, its data survives a power failure (`dialog_sqlite/database.py`). A turn is
two rows, the user's text and the reply. Its events are rows of the outbox, written in the same
transaction: both are stored, or neither. A later revision of the reply replaces it and has events
of its own; an older revision changes nothing, and neither does a turn that is stored again.

A session keeps its latest turns; older ones are deleted by the commits of new ones.

The tables are in `migrations/`, the events of a turn in `outbox/events.py`.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from dialog_engine.outbox import rows
from dialog_engine.outbox.events import StreamEvent, turn_events
from dialog_engine.stored_turn import StoredTurn
from dialog_sqlite.database import Database

TURNS_KEPT: Final = 1_000
"""Number of a session's turns in the database."""


@dataclass(frozen=True, slots=True)
class SessionImage:
    """The stored state of a session that its lease holder keeps in memory."""

    last_turn: int
    reset_after: int
    recent: list[StoredTurn]
    """Oldest first."""

    requests: dict[str, int]
    """Request ids of the latest messages, and the numbers of their turns."""


_SELECT: Final = """
SELECT u.sessionId, u.turn, u.text, a.text, a.ts, u.requestId, a.interrupted, a.revision, a.shape, a.stats, a.path,
       u.viewerId, u.lang, a.events, a.epoch, a.traceparent
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


def database(path: Path) -> Database:
    """Return the engine's database, with turns and outbox; it must be opened."""
    return Database(path, resources.files("dialog_engine") / "migrations", name="engine")


class ShortTermMemory:
    """Turns and resets. Every method may raise apsw.Error or StoreClosed.

    `clock` returns Unix seconds, for the time at which events were created.
    """

    def __init__(
        self,
        database: Database,
        *,
        turns_kept: int = TURNS_KEPT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._turns_kept, self._clock = database, turns_kept, clock

    async def commit(self, stored: StoredTurn) -> None:
        """Store a turn, or a later revision of it, with its events.

        An older revision never replaces a newer one.
        """
        now_ms = int(self._clock() * 1000)

        def work(db: apsw.Connection) -> None:
            if _write_turn(db, stored):
                for event in turn_events(stored):
                    rows.insert(db, event, now_ms)
                oldest = stored.turn - self._turns_kept
                db.execute(
                    "DELETE FROM turns WHERE sessionId = ? AND turn <= ?",
                    (stored.session_id, oldest),
                )

        await self._database.write(work)

    async def add_events(self, events: Sequence[StreamEvent]) -> None:
        """Store events of a turn whose figures were known only after its commit."""
        now_ms = int(self._clock() * 1000)

        def work(db: apsw.Connection) -> None:
            for event in events:
                rows.insert(db, event, now_ms)

        await self._database.write(work)

    async def load(self, session_id: str, turns: int, requests: int) -> SessionImage:
        """Return the session's last `turns` turns and its last `requests` request ids."""

        def work(db: apsw.Connection) -> SessionImage:
            reset = list(
                db.execute(
                    "SELECT afterTurn FROM session_resets WHERE sessionId = ?", (session_id,)
                )
            )
            found = db.execute(f"{_SELECT} ORDER BY u.turn DESC LIMIT ?", (session_id, turns))
            recent = [_stored(row) for row in reversed(list(found))]
            keys = {
                str(key): int(str(turn))
                for key, turn in db.execute(_REQUESTS, (session_id, requests))
            }
            return SessionImage(_last(db, session_id), reset[0][0] if reset else 0, recent, keys)

        return await self._database.read(work)

    async def session_ids(self, limit: int) -> list[str]:
        """Return the sessions with the latest turns."""
        query = "SELECT sessionId FROM turns GROUP BY sessionId ORDER BY max(ts) DESC LIMIT ?"
        return await self._database.read(
            lambda db: [str(row[0]) for row in db.execute(query, (limit,))]
        )

    async def find(self, session_id: str, turn: int) -> StoredTurn | None:
        """Return one turn by its number, or None."""
        found = await self._database.read(
            lambda db: list(db.execute(_SELECT + " AND u.turn = ?", (session_id, turn)))
        )
        return _stored(found[0]) if found else None

    async def reset(self, session_id: str, after_turn: int) -> None:
        """Begin prompts of the session after this turn."""

        def work(db: apsw.Connection) -> None:
            db.execute(
                "INSERT INTO session_resets VALUES(?,?) ON CONFLICT(sessionId) DO UPDATE SET "
                "afterTurn = excluded.afterTurn",
                (session_id, after_turn),
            )

        await self._database.write(work)


def _write_turn(db: apsw.Connection, stored: StoredTurn) -> bool:
    """Write both rows; return False if the reply is already stored in this or a later revision."""
    db.execute(
        "INSERT INTO turns(sessionId, turn, role, text, ts, requestId, viewerId, lang) "
        "VALUES(?,?,'user',?,?,?,?,?) ON CONFLICT DO NOTHING",
        (
            stored.session_id,
            stored.turn,
            stored.user,
            stored.ts,
            stored.request_id,
            stored.viewer_id,
            stored.lang,
        ),
    )
    db.execute(
        """INSERT INTO turns(sessionId, turn, role, text, ts, interrupted, revision, shape, stats, path, events, epoch, traceparent)
           VALUES(?,?,'assistant',?,?,?,?,?,?,?,?,?,?)
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
            int(stored.events) + int(stored.events and stored.vectorize),
            stored.epoch,
            stored.traceparent,
        ),
    )
    return bool(db.changes())


def _last(db: apsw.Connection, session_id: str) -> int:
    return int(next(iter(db.execute(_LAST, (session_id,))))[0])


def _stored(row: tuple[object, ...]) -> StoredTurn:
    session_id, turn, user, reply, ts, request_id, interrupted, revision, shape, stats, path = row[
        :11
    ]
    viewer_id, lang, events, epoch, traceparent = row[11:]
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
        viewer_id=None if viewer_id is None else str(viewer_id),
        lang=None if lang is None else str(lang),
        events=events in (1, 2),
        vectorize=events == 2,
        epoch=None if epoch is None else int(str(epoch)),
        traceparent=None if traceparent is None else str(traceparent),
    )
