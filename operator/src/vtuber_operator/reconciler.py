"""The work loop: decide, write statuses, write documents, and hand over the rest.

It is level-triggered: each pass takes a snapshot of everything that is known and computes what all
statuses, documents and keys shall be, so a missed event or a failed write is corrected by the next
pass. A handler per event would have to repair each of these cases by itself.

A pass runs after a change (debounced) and every few seconds. It writes the most urgent statuses
first, then takes a new snapshot, since documents follow from the statuses that the cluster has (ADR
8), and writes the documents to Redis. ConfigMap, managed Secret and Events are written by tasks of
their own, which a slow API server may delay.

Before the watches have listed everything and the content of Redis is known, there is no pass: an
incomplete list would delete documents.

The decision is in `plan/planner.py`, what is known in `observe/`, and the writers in `apply/`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from dialog_redis.client import RedisClient, RedisUnavailable
from vtuber_operator import metrics
from vtuber_operator.api.status import Phase
from vtuber_operator.apply.config_map_writer import ConfigMapWriter
from vtuber_operator.apply.event_writer import Events
from vtuber_operator.apply.flag_writer import FlagWriter
from vtuber_operator.apply.secret_writer import SecretWriter
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.clock import unix_ms
from vtuber_operator.errors import ClusterError, Conflict, NotFound, Refused
from vtuber_operator.observe.ack_reader import AckReader
from vtuber_operator.observe.cache import ResourceCache
from vtuber_operator.plan.planner import Plan, PlanCache, StatusWrite, WritePriority, make_plan
from vtuber_operator.plan.snapshot import ClusterSnapshot, Key
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("reconciler")

BATCH: Final = 64
"""Status writes between two decisions.

Turning a flag off then does not wait behind a thousand other writes.
"""

REPORT_UNAVAILABLE_AFTER_S: Final = 5.0
"""Seconds after which statuses report that Redis is not available.

A restart of Redis must not change a thousand statuses.
"""

_REDIS_AGAIN_S: Final = 0.5
_PAUSE_S: Final = (0.2, 30.0)


class Reconciler:
    """Runs the passes; the components are asked for their knowledge at each decision."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        observed: ResourceCache,
        api: ClusterApi,
        redis: RedisClient,
        writer: FlagWriter,
        acks: AckReader,
        config_map: ConfigMapWriter,
        keys: SecretWriter,
        events: Events,
        dirty: asyncio.Event,
        established: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._observed = observed
        self._api = api
        self._redis = redis
        self._writer = writer
        self._acks = acks
        self._config_map = config_map
        self._keys = keys
        self._events = events
        self._dirty = dirty
        self._established = established
        self._clock = clock
        self._slots = asyncio.Semaphore(settings.max_concurrent_patches)
        self._postponed: dict[Key, tuple[float, float]] = {}
        """Resources whose status could not be written.

        The value is the time of the next attempt (monotonic) and the last pause.
        """
        self._memory = PlanCache()
        self._timed: int | None = None
        self.passed_at = clock()
        self.passes = 0

    def snapshot(self) -> ClusterSnapshot:
        """Return what is known now."""
        return ClusterSnapshot(
            now_ms=unix_ms(),
            resources=self._observed.resources(),
            secrets=self._observed.secrets(),
            pods=self._observed.live_pods(),
            acks=self._acks.acks,
            written=self._writer.written,
            redis_down=self._redis.unavailable_for(REPORT_UNAVAILABLE_AFTER_S),
        )

    async def run(self) -> None:
        """Run passes until cancelled."""
        resync_at = 0.0
        while True:
            now = self._clock()
            resync = now >= resync_at
            if resync:
                resync_at = now + self._settings.resync_s
            # An incomplete list would delete the documents of resources that are not on it.
            if self._established() and await self._redis_is_known(verify=resync):
                await self._pass(resync=resync)
            self.passed_at = self._clock()
            await self._wait(resync_at)

    async def _redis_is_known(self, *, verify: bool) -> bool:
        """Return whether the content of Redis is known, or that Redis is not available.

        A decision that knows neither would turn every Ready to False.
        """
        try:
            if verify:
                await self._writer.verify()
            if not self._writer.known:
                await self._writer.prepare()
        except RedisUnavailable as error:
            log.debug("redis_not_read", reason=str(error))
            return (
                self._acks.read_once
                or self._redis.unavailable_for(REPORT_UNAVAILABLE_AFTER_S) is not None
            )
        return self._acks.read_once

    async def _wait(self, resync_at: float) -> None:
        until = resync_at
        if self._redis.unavailable_reason is not None:
            until = min(until, self._clock() + _REDIS_AGAIN_S)
        if self._postponed:
            until = min(until, *(at for at, _ in self._postponed.values()))
        try:
            async with asyncio.timeout(max(0.0, until - self._clock())):
                await self._dirty.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._settings.debounce_ms / 1_000)

    async def _pass(self, *, resync: bool) -> None:
        began = self._clock()
        self._dirty.clear()
        current = make_plan(self.snapshot(), self._memory)
        if await self._write_statuses(current, counts=resync):
            # Documents follow from the statuses that the cluster has now.
            current = make_plan(self.snapshot(), self._memory)
            self._dirty.set()
        await self._write_documents(current)
        self._keys.set_desired(current.keys, keep_old=current.keep_old_keys)
        self.passes += 1
        metrics.PASSES.inc()
        metrics.PASS_SECONDS.observe(self._clock() - began)
        self._measure(resync=resync)

    async def _write_statuses(self, plan: Plan, *, counts: bool) -> bool:
        """Write the most urgent statuses; returns whether any was written."""
        now = self._clock()
        due = [
            change
            for change in plan.statuses
            if (counts or change.priority is not WritePriority.COUNTS)
            and self._postponed.get(change.resource.key, (0.0, 0.0))[0] <= now
        ]
        self._postponed = {
            key: entry
            for key, entry in self._postponed.items()
            if key in {each.resource.key for each in plan.statuses}
        }
        if not due:
            return False
        written = await asyncio.gather(*(self._write_status(change) for change in due[:BATCH]))
        return any(written) or len(due) > BATCH

    async def _write_status(self, change: StatusWrite) -> bool:
        resource = change.resource
        async with self._slots:
            try:
                body = await self._api.apply_status(
                    resource.namespace,
                    resource.name,
                    resource.uid,
                    change.status.model_dump(mode="json", by_alias=True),
                )
            except NotFound:
                # Deleted meanwhile; the watch reports it too, but perhaps later.
                metrics.STATUS_WRITES.labels(outcome="gone").inc()
                self._observed.clear("sessions", resource.key, resource.uid)
                return True
            except Conflict as error:
                # Deleted and created again under the same name: the watch will report the new one.
                metrics.STATUS_WRITES.labels(outcome="conflict").inc()
                self._postpone(resource.key, error)
                return False
            except Refused as error:
                metrics.STATUS_WRITES.labels(outcome="refused").inc()
                log.error("status_refused", resource=resource.path, reason=str(error))
                self._postpone(resource.key, error, at_least=_PAUSE_S[1])
                return False
            except ClusterError as error:
                metrics.STATUS_WRITES.labels(outcome="failed").inc()
                log.warning("status_not_written", resource=resource.path, reason=str(error))
                self._postpone(resource.key, error)
                return False
        metrics.STATUS_WRITES.labels(outcome="written").inc()
        self._postponed.pop(resource.key, None)
        self._observed.written(body)
        for announcement in change.events:
            self._events.post(resource, announcement)
        return True

    def _postpone(self, key: Key, error: ClusterError, *, at_least: float = 0.0) -> None:
        _, before = self._postponed.get(key, (0.0, _PAUSE_S[0] / 2))
        pause = max(min(before * 2, _PAUSE_S[1]), error.retry_after_s or 0.0, at_least)
        self._postponed[key] = (self._clock() + pause, pause)

    async def _write_documents(self, plan: Plan) -> None:
        try:
            if await self._writer.sync(plan.documents):
                self._timed = self._writer.revision
                self._dirty.set()
            revision = self._writer.revision
        except RedisUnavailable as error:
            log.debug("documents_not_written", reason=str(error))
            if self._config_map.desired == plan.documents:
                return
            revision = self._writer.next_generation()
        self._config_map.set_desired(revision, plan.documents)

    def _measure(self, *, resync: bool) -> None:
        snapshot = self.snapshot()
        revision = self._writer.revision
        fresh = [
            ack
            for pod in snapshot.pods
            if (ack := snapshot.fresh_ack(pod)) is not None and ack.revision >= revision
        ]
        metrics.LIVE_PODS.set(len(snapshot.pods))
        metrics.PODS_BEHIND.set(len(snapshot.pods) - len(fresh))
        if self._timed is not None and fresh and len(fresh) == len(snapshot.pods):
            # A revision is the Unix ms of its write.
            metrics.ACKNOWLEDGED_SECONDS.observe(max(0.0, (snapshot.now_ms - self._timed) / 1_000))
            self._timed = None
        if resync:
            phases = [resource.status.phase for resource in snapshot.resources]
            for phase in Phase:
                metrics.RESOURCES.labels(phase=phase).set(phases.count(phase))
