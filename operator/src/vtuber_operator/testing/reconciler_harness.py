"""A reconciler with its components and a real Redis, but without watches.

The test determines the observed objects and the replies of the API server.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from dialog_contracts.redis_names import FLAGS
from dialog_redis.client import RedisClient
from vtuber_operator.apply.config_map_writer import ConfigMapWriter
from vtuber_operator.apply.event_writer import Events
from vtuber_operator.apply.flag_writer import FlagWriter
from vtuber_operator.apply.secret_writer import SecretWriter
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError
from vtuber_operator.observe.ack_reader import AckReader
from vtuber_operator.observe.cache import ResourceCache
from vtuber_operator.plan.event_messages import EventMessage
from vtuber_operator.plan.snapshot import Resource
from vtuber_operator.reconciler import Reconciler
from vtuber_operator.settings import OperatorSettings
from vtuber_operator.testing.api_server import pod, session
from vtuber_operator.testing.redis_server import FakePod
from vtuber_operator.testing.wait import until


class HttpCluster(ClusterApi):
    """Accepts statuses; `failures` by name are raised first.

    `seen` holds the effective flags and the document in Redis at each write.
    """

    def __init__(self, url: str) -> None:
        super().__init__(1)
        self.bodies: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, list[ClusterError]] = {}
        self.asked: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self._redis = Redis.from_url(url, decode_responses=True)
        self.reads_redis = True
        self.versions = itertools.count(100)

    async def apply_status(
        self, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Raise the next failure for this name, or store the status."""
        self.asked.append(name)
        if self.reads_redis:
            self.seen.append((status["effective"], str(await self._redis.hget(FLAGS, name))))
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        meta = {**self.bodies[name]["metadata"], "resourceVersion": str(next(self.versions))}
        self.bodies[name] = {**self.bodies[name], "metadata": meta, "status": status}
        return self.bodies[name]

    async def aclose(self) -> None:
        """Close its own Redis client."""
        await self._redis.aclose()


class RecordedEvents(Events):
    """Records the reasons of Events instead of posting them."""

    reasons: list[str]

    def post(self, resource: Resource, announcement: EventMessage) -> None:
        """Record the reason."""
        self.reasons.append(announcement.reason)


class ReconcilerHarness:
    """A reconciler with its components; `now` is the clock of its pauses."""

    def __init__(self, url: str) -> None:
        settings = OperatorSettings(
            pod_namespace="vt", debounce_ms=0, resync_s=60, max_concurrent_patches=1
        )
        self.now = 1_000.0
        self.established = True
        self.dirty = asyncio.Event()
        self.cluster = HttpCluster(url)
        self.redis = RedisClient(
            url,
            timeout_s=2,
            cooldown_s=0,
            retry=False,
            encoding_errors="replace",
            clock=lambda: self.now,
        )
        self.observed = ResourceCache(self.dirty.set, pods_in="vt")
        self.acks = AckReader(self.redis, self.dirty.set)
        self.writer = FlagWriter(self.redis)
        self.events = RecordedEvents(self.cluster, settings)
        self.events.reasons = []
        self.config_map = ConfigMapWriter(self.cluster, self.events, settings)
        self.engine = FakePod(url, "engine-0")
        self.reconciler = Reconciler(
            settings,
            observed=self.observed,
            api=self.cluster,
            redis=self.redis,
            writer=self.writer,
            acks=self.acks,
            config_map=self.config_map,
            keys=SecretWriter(self.cluster, self.observed, settings),
            events=self.events,
            dirty=self.dirty,
            established=lambda: self.established,
            clock=lambda: self.now,
        )
        self.observed.on_event("pods", "ADDED", self._body(pod("engine-0")))

    def _body(self, body: dict[str, Any], **meta: Any) -> dict[str, Any]:
        made = {
            **body["metadata"],
            "namespace": "vt",
            "resourceVersion": str(next(self.cluster.versions)),
            **meta,
        }
        return {**body, "metadata": made}

    def apply(self, name: str, *flags: str) -> None:
        """Apply a VtuberSession with these flags, and feed the watch event."""
        old = self.cluster.bodies.get(name)
        generation = old["metadata"]["generation"] + 1 if old else 1
        body = self._body(
            session(name, *flags),
            uid=f"uid-{name}",
            generation=generation,
            creationTimestamp="2026-01-01T00:00:00Z",
        )
        self.cluster.bodies[name] = {**(old or {}), **body}
        self.observed.on_event("sessions", "MODIFIED", self.cluster.bodies[name])

    def effective(self, name: str) -> str:
        """Return the flags in force by the status in the cluster."""
        return str(self.cluster.bodies[name].get("status", {}).get("effective"))

    async def passes(self, count: int = 1) -> None:
        """Wait for `count` more decisions."""
        for wanted in range(self.reconciler.passes + 1, self.reconciler.passes + count + 1):
            self.dirty.set()
            await until(lambda wanted=wanted: self.reconciler.passes >= wanted, "a decision")  # type: ignore[misc]

    async def acknowledged(self) -> None:
        """Let the pod acknowledge the documents in Redis; then wait for two decisions."""
        await self.engine.acknowledge()
        await self.acks.refresh()
        await self.passes(2)

    async def settled(self) -> None:
        """Repeat decisions and acknowledgements until every status is Ready."""
        await self.acks.refresh()
        async with asyncio.timeout(10):
            await self.passes(2)
            while any(body["status"]["phase"] != "Ready" for body in self.cluster.bodies.values()):
                await self.acknowledged()

    @asynccontextmanager
    async def working(self) -> AsyncIterator["ReconcilerHarness"]:
        """Run the reconciler inside the block."""
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield self
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)
            await self.redis.aclose()
            await self.cluster.aclose()
            await self.engine._client.aclose()
