"""The relay of the outbox: delivers stored events to Redis Streams, at least once.

A turn's events are rows of the engine's database, written in the turn's transaction
(`memory_shortterm.py`). The relay reads the rows that wait, adds them to their streams, and stores
the id of each entry. A commit wakes it; it also looks once a second. If the engine ends between
adding and storing, the rows are added again: consumers drop the second one by its `eventId`.

Rows of a session keep their order within a stream. A row that Redis rejects is tried again after a
growing pause, and meanwhile holds back only the later rows of its session; after ATTEMPTS_MAX
attempts it is parked with the reason. While Redis is unavailable or full, no row is at fault: the
relay waits with a growing pause, and the rows stay.

Redis may lose entries that it has acknowledged. The relay therefore stores with which process of
Redis it has published; `dialog_redis/event_streams/publisher.py` explains how a loss is detected.
The rows that Redis has lost wait again then. Delivered rows are kept for a day for that.

The relay runs whatever the flags are, because rows may wait from before a flag was turned off.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import apsw
import structlog

from dialog_contracts import redis_names
from dialog_contracts.outbox import MAX_EVENT_BYTES
from dialog_engine.outbox.rows import (
    MAX_RETRY_MS,
    Backlog,
    StreamId,
    StreamPosition,
    WaitingRow,
)
from dialog_engine.outbox.store import Delivered, Failed, OutboxStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.publisher import (
    EventToPublish,
    OriginChanged,
    Published,
    StreamOrigin,
)
from dialog_telemetry import metrics

log = structlog.get_logger("outbox")

BATCH: Final = 200
POLL_S: Final = 1.0
RETRY_FIRST_S: Final = 0.5
ATTEMPTS_MAX: Final = 8
UNAVAILABLE_FIRST_S: Final = 0.1
UNAVAILABLE_MAX_S: Final = 2.0
DRAIN_FAILURES: Final = 10
RETENTION_MS: Final = 24 * 3600 * 1000
"""Time for which delivered rows are kept, in case Redis loses them."""

PURGE_INTERVAL_S: Final = 60.0
PURGE_ROWS: Final = 2_000
YIELD_S: Final = 0.002
"""Pause between batches, so that turns get the database and the event loop in between."""


class Publisher(Protocol):
    """The streams, as the relay sees them. Every method raises RedisUnavailable."""

    async def attach(self, stream: str) -> StreamOrigin:
        """Create the stream if needed, and note the process of Redis."""

    async def publish(
        self, stream: str, origin: StreamOrigin, events: Sequence[EventToPublish]
    ) -> list[Published]:
        """Add events; raises OriginChanged."""


class OutboxRelay:
    """Delivers the rows of one engine's outbox. `clock` returns Unix seconds.

    `jitter` returns a random number between its arguments.
    """

    def __init__(
        self,
        store: OutboxStore,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store, self._publisher, self._clock, self._jitter = store, publisher, clock, jitter
        self._woken = asyncio.Event()
        self._origins: dict[str, StreamOrigin] = {}
        self._pause_s = UNAVAILABLE_FIRST_S
        self._purged_at = 0.0
        self.problem: str | None = None
        """Why nothing is delivered now, or None."""

        self.backlog = Backlog(0, 0, None)
        """What waits, up to a second ago."""

    def wake(self) -> None:
        """Rows were stored."""
        self._woken.set()

    def forget_streams(self) -> None:
        """Compare with Redis again: the database was replaced by another one."""
        self._origins.clear()
        self.wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._woken.clear()
            delivered = await self._try_step()
            if self.problem is not None:
                await asyncio.sleep(self._pause_s * self._jitter(0.8, 1.2))
                self._pause_s = min(2 * self._pause_s, UNAVAILABLE_MAX_S)
                continue
            self._pause_s = UNAVAILABLE_FIRST_S
            if delivered == BATCH:
                await asyncio.sleep(YIELD_S)
                continue
            await self._purge_sometimes()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                await self._check_idle_streams()

    async def drain(self, within_s: float) -> int:
        """Deliver what waits, for at most `within_s` seconds; return what is left.

        While Redis is not available it gives up after a second, because the rows are stored.
        """
        failures = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while failures < DRAIN_FAILURES and (await self._store.backlog()).waiting:
                    if await self._try_step():
                        failures = 0
                    else:
                        failures += self.problem is not None
                        await asyncio.sleep(UNAVAILABLE_FIRST_S)
        left = (await self._store.backlog()).waiting
        if left:
            log.warning("outbox_left", waiting=left, reason=self.problem)
        return left

    async def _check_idle_streams(self) -> None:
        # Redis may have lost entries although nothing new is to be sent.
        try:
            await self.check_streams(tuple(redis_names.EVENT_GROUPS))
        except (RedisUnavailable, apsw.Error) as error:
            self._note_problem(str(error)[:200])

    async def _try_step(self) -> int:
        """Deliver one batch, and note why if it is not possible now."""
        try:
            delivered = await self.step()
            self.backlog = await self._store.backlog()
        except RedisUnavailable as error:
            self._note_problem(str(error))
            with suppress(apsw.Error):
                self.backlog = await self._store.backlog()
            self._observe()
            return 0
        except apsw.Error as error:
            self._note_problem(f"database: {error!r}"[:200])
            return 0
        self._note_problem(None)
        self._observe()
        return delivered

    async def step(self) -> int:
        """Send one batch of waiting rows; return how many were handled.

        Raises RedisUnavailable and apsw.Error.
        """
        now_ms = self._now_ms()
        due = await self._store.due(now_ms, BATCH)
        by_stream: dict[str, list[WaitingRow]] = {}
        for row in due:
            by_stream.setdefault(row.stream, []).append(row)
        handled = 0
        for stream, waiting in by_stream.items():
            handled += await self._send(stream, waiting)
        return handled

    async def check_streams(self, streams: Sequence[str]) -> int:
        """Compare with Redis also where no row waits; return how many rows were lost.

        Raises RedisUnavailable and apsw.Error.
        """
        lost = 0
        for stream in streams:
            if await self._store.position(stream) is not None:
                lost += await self._attach(stream)
        return lost

    async def _send(self, stream: str, waiting: Sequence[WaitingRow]) -> int:
        if stream not in self._origins and await self._attach(stream):
            # Lost rows come first, in their order.
            return 0
        oversized = [row for row in waiting if len(row.payload) > MAX_EVENT_BYTES]
        sendable = [row for row in waiting if row not in oversized]
        results: list[Delivered | Failed] = [
            Failed(row.id, f"the event has more than {MAX_EVENT_BYTES} bytes", None)
            for row in oversized
        ]
        try:
            published = await self._publisher.publish(
                stream,
                self._origins[stream],
                [
                    EventToPublish(
                        row.session_id, row.event_id, row.type, row.payload, row.traceparent
                    )
                    for row in sendable
                ],
            )
        except OriginChanged:
            await self._attach(stream)
            return 0
        now_ms = self._now_ms()
        for row, outcome in zip(sendable, published, strict=True):
            if outcome.stream_id is not None:
                results.append(Delivered(row.id, StreamId.parse(outcome.stream_id)))
                metrics.OUTBOX_DELIVERY_SECONDS.observe(max(0, now_ms - row.created_ms) / 1000)
            elif outcome.error is not None:
                results.append(self._rejected(row, outcome.error, now_ms))
        await self._store.record(results, now_ms)
        delivered = sum(isinstance(each, Delivered) for each in results)
        metrics.OUTBOX_EVENTS.labels(stream=stream, outcome="delivered").inc(delivered)
        return len(results)

    def _rejected(self, row: WaitingRow, error: str, now_ms: int) -> Failed:
        attempts = row.attempts + 1
        parked = attempts >= ATTEMPTS_MAX
        outcome = "parked" if parked else "rejected"
        metrics.OUTBOX_EVENTS.labels(stream=row.stream, outcome=outcome).inc()
        log.error(
            "event_parked" if parked else "event_rejected",
            event_id=row.event_id,
            session=row.session_id,
            reason=error[:200],
        )
        if parked:
            return Failed(row.id, error, None)
        pause_ms = min(RETRY_FIRST_S * 2**attempts * 1000, MAX_RETRY_MS) * self._jitter(0.8, 1.0)
        return Failed(row.id, error, now_ms + int(pause_ms))

    async def _attach(self, stream: str) -> int:
        """Find out which rows Redis has lost since this relay published; return their number."""
        origin = await self._publisher.attach(stream)
        known = await self._store.position(stream)
        again = 0
        where = StreamPosition(origin.run, origin.created)
        if known != where:
            lost_after = "0-0" if known is None else origin.lost_after(known.run, known.created)
            again = await self._store.moved(stream, where, lost_after)
            log.info("stream_attached", stream=stream, run=origin.run[:8], sent_again=again)
            metrics.OUTBOX_EVENTS.labels(stream=stream, outcome="sent_again").inc(again)
        self._origins[stream] = origin
        return again

    async def _purge_sometimes(self) -> None:
        now = self._clock()
        if 0 <= now - self._purged_at < PURGE_INTERVAL_S:
            return
        self._purged_at = now
        with suppress(apsw.Error):
            before_ms, count = int(now * 1000) - RETENTION_MS, PURGE_ROWS
            while count == PURGE_ROWS:
                count = await self._store.purge(before_ms, PURGE_ROWS)
                await asyncio.sleep(YIELD_S)

    def _note_problem(self, problem: str | None) -> None:
        if problem is not None and self.problem is None:
            log.warning("outbox_waits", reason=problem[:200], waiting=self.backlog.waiting)
        if problem is None and self.problem is not None:
            log.info("outbox_continues", waiting=self.backlog.waiting)
        self.problem = problem

    def oldest_age_s(self) -> float:
        """Return the age of the oldest event that waits, in seconds; 0 without any."""
        oldest_ms = self.backlog.oldest_ms
        return 0.0 if oldest_ms is None else max(0.0, self._clock() - oldest_ms / 1000)

    def _observe(self) -> None:
        metrics.OUTBOX_BACKLOG.set(self.backlog.waiting)
        metrics.OUTBOX_PARKED.set(self.backlog.parked)
        metrics.OUTBOX_OLDEST_AGE.set(self.oldest_age_s())

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
