"""The Redis operations of one consumer of an event stream.

Every method raises RedisUnavailable.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from dialog_contracts import redis_names
from dialog_contracts.outbox import MAX_EVENT_BYTES
from dialog_redis.client import RedisUnavailable, connect_without_retries
from dialog_redis.event_streams import scripts
from dialog_redis.event_streams.entry import Entry
from dialog_redis.event_streams.publisher import attach
from dialog_telemetry import metrics

T = TypeVar("T")
log = structlog.get_logger("event_group")

BLOCK_S: Final = 0.5
"""Seconds for which `read_new` waits for an entry."""

FORGET_CONSUMER_MS: Final = 3_600_000
"""A consumer without pending entries that has not read for an hour is deleted."""

_TIMEOUT_S: Final = 2.5
_PENDING_PAGE: Final = 500


class GroupStore:
    """Operations on one stream for one consumer of its group."""

    def __init__(self, redis_url: str, stream: str, consumer: str) -> None:
        self.stream, self._consumer = stream, consumer
        self._group_name = redis_names.EVENT_GROUPS[stream]
        self._dead = redis_names.dead_events(stream)
        self._redis = connect_without_retries(
            redis_url,
            timeout_s=BLOCK_S + _TIMEOUT_S,
            connect_timeout_s=_TIMEOUT_S,
            encoding_errors="surrogateescape",
        )
        self._cursor = "0-0"
        self.waiting = 0

    async def attach(self) -> None:
        """Create the stream and its group if they are missing."""
        await attach(self._redis, self.stream)

    async def own_pending(self) -> list[Entry]:
        """Return the entries that were delivered under this name and not acknowledged."""
        found: list[Entry] = []
        after = "0"
        while True:
            page = await self._call(
                lambda redis, after=after: redis.xreadgroup(  # type: ignore[misc]
                    self._group_name,
                    self._consumer,
                    {self.stream: after},
                    count=_PENDING_PAGE,
                )
            )
            entries = _entries(page)
            if not entries:
                return await self._with_deliveries(found)
            found += entries
            after = entries[-1].id

    async def read_new(self, count: int, *, block: bool) -> list[Entry]:
        """Return entries that no consumer has got yet, in their order."""
        wait_ms = int(BLOCK_S * 1000) if block else 50
        page = await self._call(
            lambda redis: redis.xreadgroup(
                self._group_name, self._consumer, {self.stream: ">"}, count=count, block=wait_ms
            )
        )
        return _entries(page)

    async def claim(self, idle_s: float, count: int) -> list[Entry]:
        """Take over entries that their consumer has not acknowledged for `idle_s` seconds."""

        async def work(redis: Redis) -> Any:
            return await redis.xautoclaim(
                self.stream,
                self._group_name,
                self._consumer,
                min_idle_time=int(idle_s * 1000),
                start_id=self._cursor,
                count=count,
            )

        cursor, found, *gone = await self._call(work)
        self._cursor = str(cursor)
        if gone and gone[0]:
            log.error("pending_events_removed", stream=self.stream, entries=len(gone[0]))
            metrics.EVENTS_TRIMMED.labels(stream=self.stream).inc(len(gone[0]))
        return await self._with_deliveries([_entry(each) for each in found])

    async def renew(self, ids: Sequence[str]) -> None:
        """Keep the claim on entries in work."""
        await self._call(
            lambda redis: redis.xclaim(
                self.stream,
                self._group_name,
                self._consumer,
                min_idle_time=0,
                message_ids=list(ids),
                justid=True,
            )
        )

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Mark entries as applied."""
        await self._call(lambda redis: redis.xack(self.stream, self._group_name, *ids))

    async def dead_letter(self, entry: Entry, reason: str) -> None:
        """Move an entry to the dead letter stream, with the reason."""
        payload = entry.fields.get("payload", "")
        fields = {
            "eventId": entry.fields.get("eventId", "")[:100],
            "type": entry.fields.get("type", "")[:100],
            "payload": payload[:MAX_EVENT_BYTES],
            **({"truncated": "1"} if len(payload) > MAX_EVENT_BYTES else {}),
            **(
                {"traceparent": entry.fields["traceparent"][:100]}
                if entry.fields.get("traceparent")
                else {}
            ),
            "reason": reason[:500],
            "group": self._group_name,
            "consumer": self._consumer,
            "source": entry.id,
            "deliveries": str(entry.deliveries),
            "at": str(int(time.time())),
        }
        flat = [part for pair in fields.items() for part in pair]
        parts = [
            self._group_name,
            str(redis_names.MAX_DEAD_EVENTS),
            entry.id,
            str(len(flat)),
            *flat,
        ]
        await self._call(
            lambda redis: redis.eval(scripts.DEAD_LETTER, 2, self.stream, self._dead, *parts)
        )

    async def maintain(self) -> None:
        """Trim the stream, count what waits, and delete consumers that are gone."""
        before_ms = str(int((time.time() - redis_names.EVENTS_KEPT_S) * 1000))
        dropped = await self._call(
            lambda redis: redis.eval(
                scripts.TRIM, 1, self.stream, before_ms, str(redis_names.MAX_EVENTS)
            )
        )
        if int(dropped):
            log.error("events_dropped", stream=self.stream, entries=int(dropped))
            metrics.EVENTS_TRIMMED.labels(stream=self.stream).inc(int(dropped))
        for group in await self._call(lambda redis: redis.xinfo_groups(self.stream)):
            if group["name"] == self._group_name:
                pending, lag = int(group["pending"]), int(group.get("lag") or 0)
                self.waiting = pending + lag
                metrics.EVENTS_PENDING.labels(stream=self.stream).set(pending)
                metrics.EVENTS_LAG.labels(stream=self.stream).set(lag)
        consumers = await self._call(
            lambda redis: redis.xinfo_consumers(self.stream, self._group_name)
        )
        for each in consumers:
            gone = not int(each["pending"]) and int(each["idle"]) > FORGET_CONSUMER_MS
            if gone and each["name"] != self._consumer:
                name = str(each["name"])
                await self._call(
                    lambda redis, name=name: redis.xgroup_delconsumer(  # type: ignore[misc]
                        self.stream, self._group_name, name
                    )
                )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _with_deliveries(self, entries: list[Entry]) -> list[Entry]:
        if not entries:
            return []
        known: dict[str, int] = {}
        for begin in range(0, len(entries), _PENDING_PAGE):
            page = entries[begin : begin + _PENDING_PAGE]
            rows = await self._call(
                lambda redis, page=page: redis.xpending_range(  # type: ignore[misc]
                    self.stream,
                    self._group_name,
                    min=page[0].id,
                    max=page[-1].id,
                    count=_PENDING_PAGE,
                    consumername=self._consumer,
                )
            )
            known |= {str(row["message_id"]): int(row["times_delivered"]) for row in rows}
        return [Entry(each.id, each.fields, known.get(each.id, 1)) for each in entries]

    async def _call(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            return await work(self._redis)
        except ResponseError as error:
            if "NOGROUP" in str(error):
                # The stream was deleted, or Redis has lost it: it is created anew.
                await attach(self._redis, self.stream)
            raise RedisUnavailable("events", str(error)[:100]) from error
        except (RedisError, OSError) as error:
            raise RedisUnavailable("events", type(error).__name__) from error


def _entries(page: Any) -> list[Entry]:
    if not page:
        return []
    rows = next(iter(page.values())) if isinstance(page, Mapping) else page[0][1]
    if rows and isinstance(rows[0], list) and rows[0] and isinstance(rows[0][0], list | tuple):
        rows = rows[0]
    return [_entry(row) for row in rows]


def _entry(row: Any) -> Entry:
    name, fields = row
    return Entry(str(name), {str(key): str(value) for key, value in (fields or {}).items()})
