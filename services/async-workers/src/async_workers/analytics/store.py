"""Figures of turns in SQLite.

An event is applied once: its id is stored in the transaction of its effect. Events of a turn may
arrive in any order: figures are added, and the highest revision decides whether it was interrupted.
"""

import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw

from async_workers.analytics.figures import percentile
from dialog_contracts.events_api import AnalyticsReport, SessionFigures, TurnFigures
from dialog_contracts.outbox import ChatStats, EventType, OutboxEvent, TurnInterruption
from dialog_sqlite.database import Database

SESSIONS_LISTED: Final = 100
TURNS_READ: Final = 10_000
"""Latest turns of a session from which its percentiles are computed."""

TURNS_LISTED: Final = 200
APPLIED_KEPT_S: Final = 8 * 24 * 3600
"""Seconds for which ids of applied events are kept: longer than an outbox keeps delivered rows."""

DELETE_ROWS: Final = 2_000

_STATS: Final = """
INSERT INTO turns(sessionId, turn, revision, ts, path, interrupted, ttftMs, firstAudioMs, totalMs, tokens, counted)
VALUES(?,?,?,?,?,?,?,?,?,?,1)
ON CONFLICT(sessionId, turn) DO UPDATE SET
  interrupted  = CASE WHEN excluded.revision > revision THEN excluded.interrupted ELSE max(interrupted, excluded.interrupted) END,
  revision     = max(revision, excluded.revision),
  ts           = min(ts, excluded.ts),
  path         = coalesce(excluded.path, path),
  ttftMs       = coalesce(excluded.ttftMs, ttftMs),
  firstAudioMs = coalesce(excluded.firstAudioMs, firstAudioMs),
  totalMs      = coalesce(max(totalMs, excluded.totalMs), excluded.totalMs, totalMs),
  tokens       = coalesce(excluded.tokens, tokens),
  counted      = counted + 1
"""
_INTERRUPTED: Final = """
INSERT INTO turns(sessionId, turn, revision, ts, interrupted, heardChars) VALUES(?,?,?,?,1,?)
ON CONFLICT(sessionId, turn) DO UPDATE SET
  interrupted = 1,
  heardChars  = CASE WHEN excluded.revision >= revision THEN excluded.heardChars ELSE heardChars END,
  revision    = max(revision, excluded.revision),
  ts          = min(ts, excluded.ts)
"""


def analytics_database(path: Path) -> Database:
    """Return the database of figures; it must be opened."""
    folder = resources.files("async_workers") / "analytics" / "migrations"
    return Database(path, folder, name="analytics")


class AnalyticsStore:
    """Figures of turns. Every method may raise apsw.Error or StoreClosed."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def apply(self, events: Sequence[OutboxEvent]) -> int:
        """Apply events in one transaction; return how many were new."""
        now = int(self._clock())

        def work(db: apsw.Connection) -> int:
            return sum(apply_event(db, event, now) for event in events)

        return await self._database.write(work)

    async def report(self, session: str | None) -> AnalyticsReport:
        """Return the figures of one session with its latest turns, or those of all sessions."""

        def work(db: apsw.Connection) -> AnalyticsReport:
            if session is not None:
                return AnalyticsReport(sessions=[_figures(db, session, recent=True)])
            query = "SELECT sessionId FROM turns GROUP BY sessionId ORDER BY max(ts) DESC LIMIT ?"
            names = [str(row[0]) for row in db.execute(query, (SESSIONS_LISTED,))]
            return AnalyticsReport(sessions=[_figures(db, name, recent=False) for name in names])

        return await self._database.read(work)

    async def delete_before(self, ts: int) -> None:
        """Delete turns before a time (Unix seconds), and old ids of applied events."""
        applied = int(self._clock()) - APPLIED_KEPT_S

        def work(db: apsw.Connection) -> int:
            db.execute(
                "DELETE FROM turns WHERE (sessionId, turn) IN "
                "(SELECT sessionId, turn FROM turns WHERE ts < ? LIMIT ?)",
                (ts, DELETE_ROWS),
            )
            count = int(db.changes())
            db.execute(
                "DELETE FROM applied_events WHERE eventId IN "
                "(SELECT eventId FROM applied_events WHERE at < ? LIMIT ?)",
                (applied, DELETE_ROWS),
            )
            return max(count, int(db.changes()))

        while await self._database.write(work) == DELETE_ROWS:
            continue


def apply_event(db: apsw.Connection, event: OutboxEvent, now: int) -> bool:
    """Apply an event if it is new; return whether it was. Raises pydantic.ValidationError."""
    db.execute(
        "INSERT INTO applied_events VALUES(?,?) ON CONFLICT DO NOTHING", (event.event_id, now)
    )
    if not db.changes():
        return False
    if event.type is EventType.ANALYTICS_CHAT_STATS:
        stats = ChatStats.model_validate(event.payload)
        db.execute(
            _STATS,
            (
                event.session_id,
                event.turn,
                stats.revision,
                event.ts,
                stats.path,
                int(stats.interrupted),
                stats.ttft_ms,
                stats.first_audio_ms,
                stats.total_ms,
                stats.tokens,
            ),
        )
    elif event.type is EventType.TURN_INTERRUPTED:
        interruption = TurnInterruption.model_validate(event.payload)
        db.execute(
            _INTERRUPTED,
            (
                event.session_id,
                event.turn,
                interruption.revision,
                event.ts,
                len(interruption.heard_text),
            ),
        )
    return True


def _figures(db: apsw.Connection, session: str, *, recent: bool) -> SessionFigures:
    count = "SELECT count(*), coalesce(sum(interrupted), 0), coalesce(sum(path = 'legacy'), 0), max(ts) FROM turns WHERE sessionId = ?"
    turns, interrupted, legacy, last = next(iter(db.execute(count, (session,))))
    query = "SELECT turn, ts, path, interrupted, ttftMs, firstAudioMs FROM turns WHERE sessionId = ? ORDER BY turn DESC LIMIT ?"
    rows: list[tuple[Any, ...]] = list(db.execute(query, (session, TURNS_READ)))
    ttft = [row[4] for row in rows if row[4] is not None]
    audio = [row[5] for row in rows if row[5] is not None]
    return SessionFigures(
        session=session,
        turns=turns,
        interrupted=interrupted,
        legacy=legacy,
        ttft_p50_ms=percentile(ttft, 0.5),
        ttft_p95_ms=percentile(ttft, 0.95),
        first_audio_p50_ms=percentile(audio, 0.5),
        first_audio_p95_ms=percentile(audio, 0.95),
        last_ts=last,
        recent=[
            TurnFigures(
                turn=turn,
                ts=ts,
                path=path or "sync",
                interrupted=bool(stopped),
                ttft_ms=ttft_ms,
                first_audio_ms=audio_ms,
            )
            for turn, ts, path, stopped, ttft_ms, audio_ms in reversed(rows[:TURNS_LISTED])
        ]
        if recent
        else [],
    )
