"""Consumes an event stream in a group, so that every event is applied once.

Redis delivers an entry to one consumer of the group and keeps it pending until it is acknowledged.
An entry is acknowledged only after its effect is durable. If the consumer dies in between, the
entry is delivered again, and the effect recognises its `eventId`.

A consumer first fetches the entries that are pending under its own name, from before its restart.
It also claims entries of consumers that have not acknowledged them for `claim_after_s`; while it
works on entries, it renews its own claim on them. An entry that fails is tried again later, after a
growing pause, while others continue. After `attempts_max` attempts it goes to the dead letter
stream with the reason. An entry that is not valid goes there at once, and one that was delivered
again and again, because its consumers ended, does too.

When most of the latest entries fail, the consumer is more likely broken than the entries: it then
stops giving up entries, reports itself as not ready, and tries a single entry from time to time.

While the target of the effects is unavailable, the entries wait in this process, and no attempt is
counted.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError

from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.entry import Applied, Apply, EffectUnavailable, Entry
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("event_consumer")

BATCH: Final = 100
HELD_MAX: Final = 1_000
"""Entries that wait for another attempt here; above it no new ones are read."""

RETRY_FIRST_S: Final = 0.2
RETRY_MAX_S: Final = 30.0
UNAVAILABLE_PAUSE_S: Final = 0.5
UNAVAILABLE_PAUSE_MAX_S: Final = 5.0
IDLE_PAUSE_S: Final = 0.25
DELIVERIES_MAX: Final = 20
"""Deliveries after which an entry is given up: each one before may have ended its consumer.

It is far above `attempts_max`, because consumers also restart while the target is unavailable.
"""

GUARD_WINDOW: Final = 100
GUARD_MIN: Final = 20
GUARD_SHARE: Final = 0.5
GUARD_PAUSE_S: Final = 30.0


class EventGroup(Protocol):
    """The stream as one consumer of its group sees it; see `GroupStore`.

    Every method raises RedisUnavailable.
    """

    @property
    def stream(self) -> str:
        """Name of the stream."""

    @property
    def waiting(self) -> int:
        """Entries that the group has not acknowledged."""

    async def attach(self) -> None:
        """Create the stream and its group if they are missing."""

    async def own_pending(self) -> list[Entry]:
        """Return the entries that were delivered under this name and not acknowledged."""

    async def read_new(self, count: int, *, block: bool) -> list[Entry]:
        """Return entries that no consumer has got yet."""

    async def claim(self, idle_s: float, count: int) -> list[Entry]:
        """Take over entries that their consumer has not acknowledged for `idle_s` seconds."""

    async def renew(self, ids: Sequence[str]) -> None:
        """Keep the claim on entries in work."""

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Mark entries as applied."""

    async def dead_letter(self, entry: Entry, reason: str) -> None:
        """Move an entry to the dead letter stream."""

    async def maintain(self) -> None:
        """Trim the stream, and count what waits."""

    async def aclose(self) -> None:
        """Close the connections."""


@dataclass(slots=True)
class _Held:
    """An entry that has failed and is tried again at `at` (seconds of the consumer's clock)."""

    entry: Entry
    attempts: int
    at: float
    reason: str


class EventConsumer:
    """One consumer of one stream. `apply` is described at `Apply`, `clock` returns seconds.

    The consumer closes `group` when it is closed.
    """

    def __init__(
        self,
        group: EventGroup,
        apply: Apply,
        *,
        claim_after_s: float = 30.0,
        attempts_max: int = 5,
        close_within_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self._group, self._apply, self._clock = group.stream, group, apply, clock
        self._claim_after_s, self._attempts_max = claim_after_s, attempts_max
        self._close_within_s = close_within_s
        self._tasks = BackgroundTasks()
        self._held: dict[str, _Held] = {}
        self._working: dict[str, Entry] = {}
        self._claimed: deque[Entry] = deque()
        self._latest: deque[bool] = deque(maxlen=GUARD_WINDOW)
        self._redis_problem: str | None = "not connected yet"
        self._effect_problem: str | None = None
        self._guard_until = 0.0
        self._guarded = False
        self._closing = False
        self._busy = asyncio.Lock()

    @property
    def unavailable_reason(self) -> str | None:
        """Why no entry is applied now, or None."""
        return self._guard_reason or self._redis_problem or self._effect_problem

    @property
    def broken_reason(self) -> str | None:
        """Why this consumer itself cannot apply entries, or None; not that Redis is unavailable."""
        return self._guard_reason or self._effect_problem

    @property
    def _guard_reason(self) -> str | None:
        if self._guarded:
            return f"most of the latest events of {self.stream} failed; no event is given up"
        return None

    @property
    def lag(self) -> int:
        """Entries of the stream that the group has not acknowledged, up to a second ago."""
        return self._group.waiting

    def start(self) -> None:
        """Begin to consume."""
        wanted = self._wanted
        self._tasks.run_forever("consume", self._consume, pause_max_s=2.0, wanted=wanted)
        self._tasks.run_forever("claim", self._maintain, pause_max_s=2.0, wanted=wanted)

    def _wanted(self) -> bool:
        return not self._closing

    async def aclose(self) -> None:
        """Stop reading, and let the entries in work finish for a moment.

        The others stay pending, for the next process of this name or for another consumer.
        """
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._close_within_s), self._busy:
                pass
        await self._tasks.close()
        await self._group.aclose()

    async def _consume(self) -> None:
        try:
            await self.resume()
            while not self._closing:
                async with self._busy:
                    if not await self.step():
                        await asyncio.sleep(0)
        except RedisUnavailable as error:
            self._note_redis(error)

    async def resume(self) -> None:
        """Fetch what is pending under this name; raises RedisUnavailable."""
        await self._group.attach()
        waiting = {*self._held, *(entry.id for entry in self._claimed)}
        self._claimed.extend(
            entry for entry in await self._group.own_pending() if entry.id not in waiting
        )
        self._note_redis(None)

    async def step(self) -> bool:
        """Handle the next entries, if any; raises RedisUnavailable."""
        found = await self._next()
        if found:
            await self._process(found)
        return bool(found)

    async def take_over(self) -> int:
        """Claim entries that another consumer left; return their number."""
        mine = {*self._working, *self._held, *(each.id for each in self._claimed)}
        if mine:
            await self._group.renew(sorted(mine))
        if len(self._claimed) >= BATCH or self._guarded:
            return 0
        claimed = await self._group.claim(self._claim_after_s, BATCH)
        fresh = [entry for entry in claimed if entry.id not in mine]
        if fresh:
            metrics.EVENTS_CLAIMED.labels(stream=self.stream).inc(len(fresh))
            log.info("events_claimed", stream=self.stream, entries=len(fresh))
        self._claimed.extend(fresh)
        return len(fresh)

    async def _next(self) -> list[Entry]:
        """Return the next entries: claimed ones, then those to be tried again, then new ones."""
        now = self._clock()
        if self._guarded and now < self._guard_until:
            await asyncio.sleep(IDLE_PAUSE_S)
            return []
        most = 1 if self._guarded else BATCH
        taken = [self._claimed.popleft() for _ in range(min(most, len(self._claimed)))]
        if not taken:
            due = [each for each in self._held.values() if each.at <= now][:1]
            taken = [each.entry for each in due]
        if not taken and len(self._held) < HELD_MAX:
            taken = await self._group.read_new(most, block=not self._held)
        self._working = {entry.id: entry for entry in taken}
        return taken

    async def _process(self, entries: list[Entry]) -> None:
        try:
            exhausted = [
                entry
                for entry in entries
                if entry.deliveries > DELIVERIES_MAX and entry.id not in self._held
            ]
            for entry in exhausted:
                await self._give_up(
                    entry, f"delivered {entry.deliveries} times without being applied"
                )
            rest = [entry for entry in entries if entry not in exhausted]
            if rest:
                await self._apply_all(rest)
        finally:
            self._working = {}

    async def _apply_all(self, entries: list[Entry]) -> None:
        pause = UNAVAILABLE_PAUSE_S
        while True:
            try:
                results = await self._apply(entries)
            except EffectUnavailable as error:
                if self._effect_problem is None:
                    log.warning("effect_unavailable", stream=self.stream, reason=str(error)[:200])
                self._effect_problem = str(error)[:200]
                if self._closing:
                    return
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(2 * pause, UNAVAILABLE_PAUSE_MAX_S)
                continue
            # An effect may fail in any way; the entries are then tried one by one.
            except Exception as error:  # noqa: BLE001
                if len(entries) > 1:
                    for entry in entries:
                        await self._apply_all([entry])
                else:
                    await self._failed(entries[0], repr(error)[:300])
                return
            self._effect_problem = None
            await self._settle(entries, results)
            return

    async def _settle(self, entries: Sequence[Entry], results: Sequence[Applied]) -> None:
        applied = [
            entry for entry, result in zip(entries, results, strict=True) if result.rejected is None
        ]
        if applied:
            await self._group.acknowledge([entry.id for entry in applied])
            for entry in applied:
                self._held.pop(entry.id, None)
                self._note_outcome(dead=False)
            metrics.EVENTS_CONSUMED.labels(stream=self.stream, outcome="applied").inc(len(applied))
        for entry, result in zip(entries, results, strict=True):
            if result.rejected is not None:
                await self._give_up(entry, result.rejected)

    async def _failed(self, entry: Entry, reason: str) -> None:
        held = self._held.get(entry.id)
        attempts = (held.attempts if held is not None else 0) + 1
        log.warning(
            "event_failed", stream=self.stream, entry=entry.id, attempts=attempts, reason=reason
        )
        metrics.EVENTS_CONSUMED.labels(stream=self.stream, outcome="failed").inc()
        if attempts >= self._attempts_max:
            await self._give_up(entry, reason)
            return
        pause = min(RETRY_FIRST_S * 2**attempts, RETRY_MAX_S) * random.uniform(0.8, 1.2)
        now = self._clock()
        self._held[entry.id] = _Held(entry, attempts, now + pause, reason)

    async def _give_up(self, entry: Entry, reason: str) -> None:
        self._note_outcome(dead=True)
        if self._guarded:
            now = self._clock()
            self._guard_until = now + GUARD_PAUSE_S
            self._held[entry.id] = _Held(entry, 0, self._guard_until, reason)
            return
        log.error("event_dead_lettered", stream=self.stream, entry=entry.id, reason=reason[:200])
        metrics.EVENTS_CONSUMED.labels(stream=self.stream, outcome="dead").inc()
        await self._group.dead_letter(entry, reason)
        self._held.pop(entry.id, None)

    def _note_outcome(self, *, dead: bool) -> None:
        if self._guarded:
            if not dead:
                log.info("event_guard_lifted", stream=self.stream)
                self._guarded = False
                self._latest.clear()
            return
        self._latest.append(dead)
        count = len(self._latest)
        if count >= GUARD_MIN and sum(self._latest) > GUARD_SHARE * count:
            self._guarded = True
            self._guard_until = self._clock() + GUARD_PAUSE_S
            log.error("event_guard", stream=self.stream, failed=sum(self._latest), latest=count)

    async def _maintain(self) -> None:
        """Claim what other consumers left, keep the claim on own entries, and trim the stream."""
        try:
            while not self._closing:
                await asyncio.sleep(min(1.0, self._claim_after_s / 4))
                await self.take_over()
                await self._group.maintain()
        except RedisUnavailable as error:
            self._note_redis(error)

    def _note_redis(self, error: RedisUnavailable | RedisError | None) -> None:
        if error is None:
            if self._redis_problem is not None:
                log.info("events_available", stream=self.stream)
            self._redis_problem = None
            return
        if self._redis_problem is None:
            log.warning("events_unavailable", stream=self.stream, reason=str(error)[:200])
        self._redis_problem = str(error)[:200]
