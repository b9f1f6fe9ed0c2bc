"""Redis with event streams, in memory: it can be away, die, and come back with less than it had.

The semantics are those of the scripts in `dialog_redis/event_streams/scripts.py`; their tests run
against a real server.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.entry import Entry
from dialog_redis.event_streams.publisher import (
    EventToPublish,
    OriginChanged,
    Published,
    StreamOrigin,
)

StreamId = tuple[int, int]


@dataclass(slots=True)
class Pending:
    """An entry that a consumer has got and not acknowledged."""

    consumer: str
    since: float
    deliveries: int


@dataclass(slots=True)
class Stream:
    """One stream with its one group."""

    created: str
    entries: dict[StreamId, dict[str, str]] = field(default_factory=dict)
    last: StreamId = (0, 0)
    runs: list[tuple[str, str]] = field(default_factory=list)
    delivered: StreamId = (0, 0)
    pending: dict[StreamId, Pending] = field(default_factory=dict)
    dead: list[dict[str, str]] = field(default_factory=list)


class InMemoryRedis:
    """The server. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.up, self.run, self.full = True, "run1", False
        self.streams: dict[str, Stream] = {}
        self.first_added: dict[tuple[str, str], list[str]] = {}
        """By stream and session: event ids in the order in which they were added for the first time."""

        self._saved: list[dict[str, Stream]] = [{}]
        self._starts = 1
        self.fail_after: int | None = None
        """Calls until one has its effect and loses its answer; None for none."""

    def save(self) -> None:
        """Flush to the disk what there is now."""
        self._saved.append(copy.deepcopy(self.streams))
        del self._saved[:-8]

    def restart(self, back: int) -> None:
        """Die, and come back with the state of the `back`-th last flush, or an older one."""
        self.streams = copy.deepcopy(self._saved[max(0, len(self._saved) - 1 - back)])
        del self._saved[max(1, len(self._saved) - back) :]
        self._starts += 1
        self.run, self.up = f"run{self._starts}", True

    def call(self) -> None:
        """Begin a call; raises RedisUnavailable."""
        if not self.up:
            raise RedisUnavailable("events", "down")

    def answered(self) -> None:
        """End a call; raises RedisUnavailable where the answer is lost."""
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after <= 0:
                self.fail_after = None
                raise RedisUnavailable("events", "the answer was lost")

    def attach(self, name: str) -> StreamOrigin:
        """As the script ATTACH."""
        self.call()
        stream = self.streams.get(name)
        if stream is None:
            self._starts += 1
            stream = self.streams[name] = Stream(f"stream{self._starts}")
        if self.run not in [run for run, _ in stream.runs]:
            stream.runs.append((self.run, "{}-{}".format(*stream.last)))
            del stream.runs[:-64]
        self.answered()
        return StreamOrigin(self.run, stream.created, tuple(stream.runs))

    def publish(
        self, name: str, origin: StreamOrigin, events: Sequence[EventToPublish]
    ) -> list[Published]:
        """As the script PUBLISH."""
        self.call()
        if self.full:
            raise RedisUnavailable("events", "OOM")
        stream = self.streams.get(name)
        if stream is None or self.run != origin.run or stream.created != origin.created:
            raise OriginChanged(name)
        results: list[Published] = []
        failed: set[str] = set()
        for event in events:
            if event.session in failed:
                results.append(Published())
            elif "poison" in event.payload:
                failed.add(event.session)
                results.append(Published(error="poison"))
            else:
                ms = int(self._clock() * 1000)
                at = (ms, 0) if (ms, 0) > stream.last else (stream.last[0], stream.last[1] + 1)
                stream.last = at
                added = self.first_added.setdefault((name, event.session), [])
                if event.event_id not in added:
                    added.append(event.event_id)
                stream.entries[at] = {"eventId": event.event_id, "payload": event.payload}
                results.append(Published("{}-{}".format(*at)))
        self.answered()
        return results


class InMemoryPublisher:
    """The publisher of one engine."""

    def __init__(self, redis: InMemoryRedis) -> None:
        self._redis = redis

    async def attach(self, stream: str) -> StreamOrigin:
        return self._redis.attach(stream)

    async def publish(
        self, stream: str, origin: StreamOrigin, events: Sequence[EventToPublish]
    ) -> list[Published]:
        return self._redis.publish(stream, origin, events)


class InMemoryGroup:
    """The stream as one consumer sees it."""

    waiting = 0

    def __init__(
        self, redis: InMemoryRedis, stream: str, consumer: str, clock: Callable[[], float]
    ) -> None:
        self._redis, self.stream, self._consumer, self._clock = redis, stream, consumer, clock

    async def attach(self) -> None:
        self._redis.attach(self.stream)

    def _stream(self) -> Stream:
        self._redis.call()
        if self.stream not in self._redis.streams:
            self._redis.attach(self.stream)
            raise RedisUnavailable("events", "NOGROUP")
        return self._redis.streams[self.stream]

    async def own_pending(self) -> list[Entry]:
        stream = self._stream()
        found: list[Entry] = []
        for at, pending in sorted(stream.pending.items()):
            if pending.consumer == self._consumer and at in stream.entries:
                pending.deliveries += 1
                found.append(_entry(at, stream, pending))
        self._redis.answered()
        return found

    async def read_new(self, count: int, *, block: bool) -> list[Entry]:
        stream = self._stream()
        found: list[Entry] = []
        for at in sorted(stream.entries):
            if at > stream.delivered and len(found) < count:
                stream.delivered = at
                stream.pending[at] = Pending(self._consumer, self._clock(), 1)
                found.append(_entry(at, stream, stream.pending[at]))
        self._redis.answered()
        return found

    async def claim(self, idle_s: float, count: int) -> list[Entry]:
        stream = self._stream()
        found: list[Entry] = []
        for at, pending in sorted(stream.pending.items()):
            idle = self._clock() - pending.since
            if at not in stream.entries:
                raise AssertionError(f"a pending entry was removed: {at}")
            if idle >= idle_s and len(found) < count:
                stream.pending[at] = Pending(self._consumer, self._clock(), pending.deliveries + 1)
                found.append(_entry(at, stream, stream.pending[at]))
        self._redis.answered()
        return found

    async def renew(self, ids: Sequence[str]) -> None:
        stream = self._stream()
        for name in ids:
            at = _parse(name)
            if at in stream.pending:
                stream.pending[at].consumer = self._consumer
                stream.pending[at].since = self._clock()
        self._redis.answered()

    async def acknowledge(self, ids: Sequence[str]) -> None:
        stream = self._stream()
        for name in ids:
            stream.pending.pop(_parse(name), None)
        self._redis.answered()

    async def dead_letter(self, entry: Entry, reason: str) -> None:
        stream = self._stream()
        if stream.pending.pop(_parse(entry.id), None) is not None:
            stream.dead.append({**entry.fields, "reason": reason})
        self._redis.answered()

    async def maintain(self) -> None:
        """As the script TRIM, without a time for which entries are kept."""
        stream = self._stream()
        lowest = min(stream.pending, default=stream.delivered)
        for at in [at for at in stream.entries if at < lowest]:
            del stream.entries[at]
        self._redis.answered()

    async def aclose(self) -> None: ...


def _entry(at: StreamId, stream: Stream, pending: Pending) -> Entry:
    return Entry("{}-{}".format(*at), dict(stream.entries[at]), pending.deliveries)


def _parse(name: str) -> StreamId:
    ms, _, seq = name.partition("-")
    return int(ms), int(seq)
