"""Publishes events to a stream, and detects when Redis has lost some.

Redis with `appendfsync everysec` may lose the last second or two of its data when it dies, and an
administrator may restore an older file or delete the stream. A publisher cannot ask Redis what it
has lost, but it can compare: it stores the id of each entry that it has published, and every
process of Redis notes the last id of the stream when it is first used. What was published after
that id is lost.

Each script call therefore names the process of Redis (its `run_id`) and the stream (an id made at
its creation) that the publisher knows. If Redis is another process, or the stream another one, the
script adds nothing. The publisher then attaches again and learns from which id on its entries are
missing; see `StreamOrigin.lost_after`. No publisher can add entries to a process that is not noted
yet, so entries of others cannot hide the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from dialog_contracts import redis_names
from dialog_redis.client import RedisUnavailable, connect_without_retries
from dialog_redis.event_streams import scripts

RUNS_KEPT: Final = 64
TIMEOUT_S: Final = 2.0
_STREAM_ERRORS: Final = (
    "OOM",
    "MISCONF",
    "READONLY",
    "LOADING",
    "WRONGTYPE",
    "NOAUTH",
    "NOPERM",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
)
"""Errors that do not depend on the entry: no later attempt of another entry would succeed either."""


@dataclass(frozen=True, slots=True)
class EventToPublish:
    """One event. `payload` is JSON; entries of a `session` are added in their order."""

    session: str
    event_id: str
    type: str
    payload: str
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """Result of one event: its id in the stream, or an error, or neither.

    Neither: an earlier event of its session failed in the same call.
    """

    stream_id: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StreamOrigin:
    """The process of Redis, the stream's id of its creation, and the runs noted so far."""

    run: str
    created: str
    runs: tuple[tuple[str, str], ...]

    def lost_after(self, run: str, created: str) -> str | None:
        """Return the id after which entries of an earlier publisher are lost.

        `run` and `created` are what that publisher knew. None: all of them may be lost.
        """
        if created != self.created:
            return None
        names = [name for name, _ in self.runs]
        if run not in names:
            return None
        later = self.runs[names.index(run) + 1 :]
        if not later:
            return _HIGHEST
        return min((last for _, last in later), key=_parts)


_HIGHEST: Final = f"{2**63 - 1}-0"


class OriginChanged(Exception):
    """Redis or the stream is another one than the publisher knows: attach again."""


class EventPublisher:
    """Publishes to any stream, over a connection of its own.

    Every method raises RedisUnavailable.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )

    async def attach(self, stream: str) -> StreamOrigin:
        """Create the stream and its group if needed, and note the process of Redis."""
        return await attach(self._redis, stream)

    async def publish(
        self, stream: str, origin: StreamOrigin, events: Sequence[EventToPublish]
    ) -> list[Published]:
        """Add events in their order; raises OriginChanged, and RedisUnavailable for all of them."""
        parts = [origin.run, origin.created]
        for event in events:
            parts += [
                event.session,
                event.event_id,
                event.type,
                event.payload,
                event.traceparent or "",
            ]
        try:
            found = await self._redis.eval(
                scripts.PUBLISH, 2, stream, redis_names.stream_state(stream), *parts
            )
        except (RedisError, OSError) as error:
            raise RedisUnavailable("events", type(error).__name__) from error
        if found == "MOVED":
            raise OriginChanged(stream)
        made = [_published(str(each)) for each in found]
        for each in made:
            if each.error is not None and each.error.split(" ")[0] in _STREAM_ERRORS:
                cause = ResponseError(each.error)
                raise RedisUnavailable("events", each.error[:100]) from cause
        return made

    async def aclose(self) -> None:
        """Close the connection."""
        await self._redis.aclose()


async def attach(redis: Redis, stream: str) -> StreamOrigin:
    """Create the stream and its group if needed; raises RedisUnavailable."""
    try:
        run, created, runs = await redis.eval(
            scripts.ATTACH,
            2,
            stream,
            redis_names.stream_state(stream),
            redis_names.EVENT_GROUPS[stream],
            uuid4().hex,
            str(RUNS_KEPT),
        )
    except (RedisError, OSError) as error:
        raise RedisUnavailable("events", type(error).__name__) from error
    pairs = (each.partition("=") for each in str(runs).split())
    return StreamOrigin(str(run), str(created), tuple((name, last) for name, _, last in pairs))


def _published(result: str) -> Published:
    if not result:
        return Published()
    if result.startswith("!"):
        return Published(error=result[1:].removeprefix("ERR ")[:200])
    return Published(stream_id=result)


def _parts(stream_id: str) -> tuple[int, int]:
    ms, _, seq = stream_id.partition("-")
    return int(ms), int(seq)
