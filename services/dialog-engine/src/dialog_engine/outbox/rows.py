"""SQL of the outbox: what `ltm_outbox.py` reads and writes, as functions of a connection.

A row waits, is delivered, or is parked because it cannot be delivered. Rows of a session are
delivered in the order of their ids, by stream: a row that is to be tried again later holds back the
later rows of its session, and no row of another session.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from dialog_engine.outbox.events import StreamEvent

MAX_RETRY_MS: Final = 60_000
"""Longest time between two attempts. A row whose time is further ahead is due: the clock was set
back."""

WAITING, DELIVERED, PARKED = 0, 1, 2

_DUE: Final = f"""
SELECT id, stream, sessionId, eventId, type, payload, traceparent, attempts, created_at
FROM outbox_events o
WHERE delivered = {WAITING} AND (nextAttempt <= ?1 OR nextAttempt > ?1 + {MAX_RETRY_MS})
  AND NOT EXISTS (
    SELECT 1 FROM outbox_events e INDEXED BY outbox_retried
    WHERE e.delivered = {WAITING} AND e.nextAttempt > 0 AND e.stream = o.stream AND e.sessionId = o.sessionId
      AND e.id < o.id AND e.nextAttempt > ?1 AND e.nextAttempt <= ?1 + {MAX_RETRY_MS})
ORDER BY id LIMIT ?2
"""  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A row that may be sent now. `created_ms` is in Unix ms."""

    id: int
    stream: str
    session_id: str
    event_id: str
    type: str
    payload: str
    traceparent: str | None
    attempts: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A row that was set aside at `at_ms` (Unix ms)."""

    event_id: str
    stream: str
    type: str
    at_ms: int
    reason: str
    payload: str


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """Id of an entry in a stream: `<ms>-<seq>`."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> "StreamId":
        """Parse the text form; raises ValueError."""
        ms, _, seq = text.partition("-")
        return cls(int(ms), int(seq or 0))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an outbox still has to deliver. `oldest_ms` is in Unix ms, None without waiting rows."""

    waiting: int
    parked: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where the relay published last: process of Redis, and the stream's id of its creation."""

    run: str
    created: str


def insert(db: apsw.Connection, item: StreamEvent, now_ms: int) -> None:
    """Add an event; one that is already there stays as it is."""
    stream, event = item
    db.execute(
        "INSERT INTO outbox_events(type, payload, created_at, eventId, stream, sessionId, traceparent) "
        "VALUES(?,?,?,?,?,?,?) ON CONFLICT(eventId) DO NOTHING",
        (
            event.type.value,
            event.to_json(),
            now_ms,
            event.event_id,
            stream,
            event.session_id,
            event.traceparent,
        ),
    )


def due(db: apsw.Connection, now_ms: int, limit: int) -> list[WaitingRow]:
    """Return the rows that may be sent now, in the order of their ids."""
    return [WaitingRow(*row) for row in db.execute(_DUE, (now_ms, limit))]


def next_attempt_ms(db: apsw.Connection) -> int | None:
    """Return the earliest time (Unix ms) at which a waiting row is due, None without rows."""
    query = f"SELECT min(nextAttempt) FROM outbox_events WHERE delivered = {WAITING}"  # noqa: S608
    found = next(iter(db.execute(query)))[0]
    return None if found is None else int(found)


def mark_delivered(db: apsw.Connection, sent: Iterable[tuple[int, StreamId]], now_ms: int) -> None:
    """Store the stream ids of rows that were delivered."""
    db.executemany(
        f"UPDATE outbox_events SET delivered = {DELIVERED}, streamMs = ?, streamSeq = ?, doneAt = ?, "  # noqa: S608
        "attempts = attempts + 1, nextAttempt = 0, error = NULL WHERE id = ?",
        [(at.ms, at.seq, now_ms, row) for row, at in sent],
    )


def retry_later(db: apsw.Connection, row: int, at_ms: int, error: str) -> None:
    """Count a failed attempt, and try again at `at_ms`."""
    db.execute(
        "UPDATE outbox_events SET attempts = attempts + 1, nextAttempt = ?, error = ? WHERE id = ?",
        (max(1, at_ms), error, row),
    )


def park(db: apsw.Connection, row: int, now_ms: int, error: str) -> None:
    """Set a row aside: it is not sent until it is replayed."""
    db.execute(
        f"UPDATE outbox_events SET delivered = {PARKED}, doneAt = ?, attempts = attempts + 1, "  # noqa: S608
        "nextAttempt = 0, error = ? WHERE id = ?",
        (now_ms, error, row),
    )


def parked(db: apsw.Connection, limit: int) -> list[ParkedRow]:
    """Return the newest parked rows, with the reason of each."""
    query = (
        "SELECT eventId, stream, type, doneAt, coalesce(error, ''), payload "  # noqa: S608
        f"FROM outbox_events WHERE delivered = {PARKED} ORDER BY doneAt DESC LIMIT ?"
    )
    return [ParkedRow(*row) for row in db.execute(query, (limit,))]


def replay_parked(db: apsw.Connection, event_ids: Sequence[str] | None) -> int:
    """Let parked rows wait again, all of them or those named; return their number."""
    change = f"UPDATE outbox_events SET delivered = {WAITING}, attempts = 0, nextAttempt = 0, doneAt = NULL WHERE delivered = {PARKED}"  # noqa: S608
    if event_ids is None:
        db.execute(change)
        return int(db.changes())
    count = 0
    for name in event_ids:
        db.execute(change + " AND eventId = ?", (name,))
        count += db.changes()
    return count


def backlog(db: apsw.Connection) -> Backlog:
    """Return how much waits."""
    waiting, oldest = next(
        iter(
            db.execute(
                f"SELECT count(*), min(created_at) FROM outbox_events WHERE delivered = {WAITING}"  # noqa: S608
            )
        )
    )
    query = f"SELECT count(*) FROM outbox_events WHERE delivered = {PARKED}"  # noqa: S608
    return Backlog(int(waiting), int(next(iter(db.execute(query)))[0]), oldest)


def position(db: apsw.Connection, stream: str) -> StreamPosition | None:
    """Return where the relay published last, None before the first time."""
    found = list(db.execute("SELECT run, created FROM outbox_streams WHERE stream = ?", (stream,)))
    return StreamPosition(*found[0]) if found else None


def set_position(db: apsw.Connection, stream: str, where: StreamPosition) -> None:
    """Store where the relay publishes from now on."""
    db.execute(
        "INSERT INTO outbox_streams VALUES(?,?,?) ON CONFLICT(stream) DO UPDATE SET "
        "run = excluded.run, created = excluded.created",
        (stream, where.run, where.created),
    )


def send_again(db: apsw.Connection, stream: str, after: StreamId | None) -> int:
    """Let delivered rows wait again, those after a stream id or all; return their number."""
    change = f"UPDATE outbox_events SET delivered = {WAITING}, nextAttempt = 0, doneAt = NULL WHERE delivered = {DELIVERED} AND stream = ?"  # noqa: S608
    if after is None:
        db.execute(change, (stream,))
    else:
        db.execute(change + " AND (streamMs, streamSeq) > (?, ?)", (stream, after.ms, after.seq))
    return int(db.changes())


def purge(db: apsw.Connection, before_ms: int, limit: int) -> int:
    """Delete rows that were delivered before a time; return their number. Parked rows stay."""
    db.execute(
        "DELETE FROM outbox_events WHERE id IN (SELECT id FROM outbox_events "  # noqa: S608
        f"WHERE delivered = {DELIVERED} AND doneAt < ? LIMIT ?)",
        (before_ms, limit),
    )
    return int(db.changes())
