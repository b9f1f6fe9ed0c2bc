"""The outbox in the engine's database, as the relay uses it."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from dialog_engine.outbox import rows
from dialog_engine.outbox.rows import Backlog, ParkedRow, StreamId, StreamPosition, WaitingRow
from dialog_sqlite.database import Database


@dataclass(frozen=True, slots=True)
class Delivered:
    """A row that Redis has taken."""

    id: int
    at: StreamId


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that Redis has rejected: it is tried again at `retry_ms` (Unix ms), or parked if None."""

    id: int
    error: str
    retry_ms: int | None


class OutboxStore:
    """Rows of the outbox. Every method may raise apsw.Error or StoreClosed. Times are Unix ms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now_ms: int, limit: int) -> list[WaitingRow]:
        """Return the rows that may be sent now, in their order."""
        return await self._database.read(lambda db: rows.due(db, now_ms, limit))

    async def record(self, results: Sequence[Delivered | Failed], now_ms: int) -> None:
        """Store what became of rows."""

        def work(db: apsw.Connection) -> None:
            sent = [(each.id, each.at) for each in results if isinstance(each, Delivered)]
            rows.mark_delivered(db, sent, now_ms)
            for each in results:
                if isinstance(each, Failed):
                    if each.retry_ms is None:
                        rows.park(db, each.id, now_ms, each.error)
                    else:
                        rows.retry_later(db, each.id, each.retry_ms, each.error)

        await self._database.write(work)

    async def backlog(self) -> Backlog:
        """Return how much waits."""
        return await self._database.read(rows.backlog)

    async def parked(self, limit: int) -> list[ParkedRow]:
        """Return the newest parked rows, with the reason of each."""
        return await self._database.read(lambda db: rows.parked(db, limit))

    async def replay_parked(self, event_ids: Sequence[str] | None) -> int:
        """Let parked rows wait again, all of them or those named; return their number."""
        return await self._database.write(lambda db: rows.replay_parked(db, event_ids))

    async def position(self, stream: str) -> StreamPosition | None:
        """Return where the relay published last."""
        return await self._database.read(lambda db: rows.position(db, stream))

    async def moved(self, stream: str, where: StreamPosition, lost_after: str | None) -> int:
        """Store where the relay publishes from now on, and send lost rows again.

        `lost_after` is the stream id after which rows are lost; None: all may be. Returns the number
        of rows that wait again.
        """
        after = None if lost_after is None else StreamId.parse(lost_after)

        def work(db: apsw.Connection) -> int:
            again = rows.send_again(db, stream, after)
            rows.set_position(db, stream, where)
            return again

        return await self._database.write(work)

    async def purge(self, before_ms: int, limit: int) -> int:
        """Delete rows that were delivered before a time; return their number."""
        return await self._database.write(lambda db: rows.purge(db, before_ms, limit))
