"""Reads the acknowledgements of pods.

The channel names pods that wrote one, and the hash holds them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog
from redis.asyncio import Redis

from dialog_contracts.redis_names import FLAGS_ACK_EVERY_S, FLAGS_ACK_VALID_S, FLAGS_ACKS
from dialog_contracts.session_document import FlagAck
from dialog_flags.flags import Flag
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.subscriber import Announcement, Subscriber
from vtuber_operator.clock import unix_ms
from vtuber_operator.plan.snapshot import Acknowledgement

log = structlog.get_logger("ack_reader")

ACK_TTL_MS: Final = 60_000
"""Age in ms from which a field is removed, because its pod does not exist any more."""

_AGAIN_S: Final = 0.5
_INTERVAL_S: Final = 1.0


class AckReader:
    """Keeps the latest acknowledgement of each pod.

    Times are of the operator's clock, since pods' clocks may differ.
    """

    def __init__(
        self,
        redis: RedisClient,
        on_change: Callable[[], None],
        *,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._redis = redis
        self._on_change = on_change
        self._clock_ms = clock_ms
        self._raw: dict[str, str] = {}
        self.acks: dict[str, Acknowledgement] = {}
        self.read_once = False
        self._refresh_due = 0.0
        self._subscriber = Subscriber(
            redis.client,
            "acks",
            [FLAGS_ACKS],
            interval_s=_INTERVAL_S,
            on_announcements=self._on_announcements,
            on_subscribed=self._on_subscribed,
            on_failed=self._on_failed,
        )

    async def run(self) -> None:
        """Follow the channel until cancelled; each connection begins with reading everything."""
        while True:
            await self._subscriber.follow()
            await asyncio.sleep(_AGAIN_S)

    async def _on_subscribed(self) -> None:
        await self.refresh()
        # Components that waited for Redis are notified.
        self._on_change()
        self._refresh_due = asyncio.get_running_loop().time() + FLAGS_ACK_EVERY_S

    async def _on_announcements(self, announcements: list[Announcement]) -> None:
        if announcements:
            await self._read({str(said.data) for said in announcements})
        now = asyncio.get_running_loop().time()
        if now >= self._refresh_due:
            await self.refresh()
            self._refresh_due = now + FLAGS_ACK_EVERY_S

    def _on_failed(self, error: Exception) -> None:
        # A failed call has counted itself.
        if not isinstance(error, RedisUnavailable):
            self._redis.note_failure("acks", error)

    async def _read(self, pods: Iterable[str]) -> None:
        names = sorted(pods)

        async def read(client: Redis) -> list[str | None]:
            return [
                None if raw is None else str(raw) for raw in await client.hmget(FLAGS_ACKS, names)
            ]

        for pod, raw in zip(names, await self._redis.call("acks", read), strict=True):
            if raw is not None:
                self._take(pod, raw, acknowledged=True)

    async def refresh(self) -> None:
        """Read all acknowledgements and remove those of old pods; raises RedisUnavailable."""

        async def read(client: Redis) -> dict[str, str]:
            return {str(pod): str(raw) for pod, raw in (await client.hgetall(FLAGS_ACKS)).items()}

        fields = await self._redis.call("acks", read)
        self.read_once = True
        for pod, raw in fields.items():
            self._take(pod, raw)
        now = self._clock_ms()
        old = [
            pod for pod in fields if pod not in self.acks or now - self.acks[pod].at_ms > ACK_TTL_MS
        ]
        for pod in [*old, *(self.acks.keys() - fields.keys())]:
            self.acks.pop(pod, None)
            self._raw.pop(pod, None)
        if old:

            async def remove(client: Redis) -> int:
                return int(await client.hdel(FLAGS_ACKS, *old))

            await self._redis.call("acks", remove)
            log.info("acks_removed", pods=old[:10])

    def _take(self, pod: str, raw: str, *, acknowledged: bool = False) -> None:
        if self._raw.get(pod) == raw:
            return
        try:
            ack = FlagAck.from_json(raw)
            said_ms = int(ack.at * 1_000)
        # Python's JSON parser accepts Infinity and NaN, which are not times.
        except (ValueError, OverflowError):
            log.warning("ack_unreadable", pod=pod[:100])
            return
        now, known = self._clock_ms(), self.acks.get(pod)
        # An acknowledgement that existed at the start is as old as it says; one that changes later
        # is new.
        at_ms = now if acknowledged or pod in self._raw else min(now, said_ms)
        fresh = Acknowledgement(
            ack.revision, at_ms, frozenset(ack.missing_keys), _known_flags(ack.unsupported)
        )
        self._raw[pod] = raw
        self.acks[pod] = fresh
        stale = known is None or now - known.at_ms > FLAGS_ACK_VALID_S * 1_000
        if (
            stale
            or known is None
            or (known.revision, known.missing, known.unsupported)
            != (fresh.revision, fresh.missing, fresh.unsupported)
        ):
            self._on_change()


def _known_flags(unsupported: Mapping[str, str]) -> frozenset[tuple[Flag, str]]:
    """Return the flags that this version knows; a newer pod may name others."""
    return frozenset((Flag(name), why) for name, why in unsupported.items() if name in list(Flag))
