"""Creates the operator's components and runs them until the process ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from dialog_redis.client import RedisClient
from service_runtime.aio.background_tasks import BackgroundTasks
from vtuber_operator import metrics
from vtuber_operator.apply.config_map_writer import ConfigMapWriter
from vtuber_operator.apply.event_writer import Events
from vtuber_operator.apply.flag_writer import FlagWriter
from vtuber_operator.apply.secret_writer import SecretWriter
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.health import Health
from vtuber_operator.observe.ack_reader import AckReader
from vtuber_operator.observe.cache import Kind, ResourceCache
from vtuber_operator.observe.resync import Resync
from vtuber_operator.observe.watch_health import WatchHealth
from vtuber_operator.observe.watches import Watches, watched_paths
from vtuber_operator.reconciler import Reconciler
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("operator")


class Operator:
    """One operator. `run` returns after `stop` was called."""

    def __init__(
        self, settings: OperatorSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._dirty = asyncio.Event()
        self._stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.observed = ResourceCache(
            self._dirty.set, pods_in=settings.pod_namespace, sessions_in=settings.namespaces()
        )
        self.api = ClusterApi(settings.api_timeout_s)
        # Its callers run in loops, and content that is no UTF-8 must be readable, so that it can be
        # reported as invalid.
        self.redis = RedisClient(
            settings.redis_url,
            timeout_s=settings.redis_timeout_s,
            cooldown_s=0.0,
            retry=False,
            encoding_errors="replace",
            clock=clock,
        )
        metrics.REDIS_UP.set_function(
            lambda: self.redis.is_known and self.redis.unavailable_reason is None
        )
        self.writer = FlagWriter(self.redis)
        self.acks = AckReader(self.redis, self._dirty.set)
        self.events = Events(self.api, settings)
        self.config_map = ConfigMapWriter(self.api, self.events, settings)
        self.keys = SecretWriter(self.api, self.observed, settings)
        self.resync = Resync(settings, self.api, self.observed, self._resync, clock=clock)
        request_resync = partial(self._from_thread, loop, self.resync.request)
        self.progress = WatchHealth(
            watched_paths(settings),
            on_relist=request_resync,
            on_established=request_resync,
            clock=clock,
        )
        self.watches = Watches(settings, self._on_event, self.progress)
        self.reconciler = Reconciler(
            settings,
            observed=self.observed,
            api=self.api,
            redis=self.redis,
            writer=self.writer,
            acks=self.acks,
            config_map=self.config_map,
            keys=self.keys,
            events=self.events,
            dirty=self._dirty,
            established=lambda: self.progress.established and self.resync.complete,
            clock=clock,
        )
        self.health = Health(
            settings,
            progress=self.progress,
            reconciler=self.reconciler,
            resync=self.resync,
            redis=self.redis,
            watch_problem=lambda: self.watches.failed,
            clock=clock,
        )
        self.port = settings.health_port

    @staticmethod
    def _from_thread(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(what)

    def _on_event(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        self.observed.on_event(kind, change, body)

    def _resync(self) -> None:
        self.config_map.reapply()
        self.keys.reapply()
        self._dirty.set()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve the probes and run all components until stopped."""
        runner = web.AppRunner(self.health.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, self.settings.health_host, self.settings.health_port)
        await site.start()
        addresses = runner.addresses
        self.port = addresses[0][1] if addresses else self.settings.health_port
        log.info("operator_started", namespaces=self.settings.namespaces() or "all", port=self.port)
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "watches": lambda: self.watches.run(self.api.crd_is_there),
            "reconciler": self.reconciler.run,
            "acks": self.acks.run,
            "config_map": self.config_map.run,
            "session_keys": self.keys.run,
            "events": self.events.run,
            "audit": self.resync.run,
        }
        tasks = BackgroundTasks()
        for name, work in works.items():
            tasks.run_forever(name, work)
        try:
            await self._stopped.wait()
        finally:
            self.watches.stop()
            await tasks.close()
            await self.api.aclose()
            await self.redis.aclose()
            await runner.cleanup()
            log.info("operator_ended")
