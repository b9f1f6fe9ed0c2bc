"""Runs kopf, which provides the watches, in a thread of its own.

kopf cancels every task of its event loop when it stops, so it must not share the operator's loop.
Events are passed to that loop. If kopf ends (a deleted CRD, a revoked role), it is started again;
before each start the CRD must exist, because kopf would wait for it silently.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import kopf
import structlog

from vtuber_operator import metrics
from vtuber_operator.api.spec import GROUP, PLURAL, VERSION
from vtuber_operator.clients import credentials
from vtuber_operator.clients.kubernetes import core_path, sessions_path
from vtuber_operator.errors import ClusterError
from vtuber_operator.observe.cache import Kind
from vtuber_operator.observe.watch_health import WatchHealth
from vtuber_operator.plan.session_documents import SESSION_KEY_LABEL
from vtuber_operator.settings import OperatorSettings

Feed = Callable[[Kind, str | None, Mapping[str, Any]], None]
log = structlog.get_logger("watch")

SECRETS_SELECTOR: Final = f"{SESSION_KEY_LABEL}=true"
_EVENT_LIMIT: Final = 50
_PAUSE_MAX_S: Final = 10.0
_CRD_EVERY_S: Final = 2.0


def watched_namespaces(settings: OperatorSettings) -> tuple[str | None, ...]:
    """Return the namespaces of the sessions and of the pods; (None,) means all."""
    chosen = settings.namespaces()
    return tuple(sorted({*chosen, settings.pod_namespace})) if chosen else (None,)


def watched_paths(settings: OperatorSettings) -> list[str]:
    """Return every path that is listed and watched."""
    return [
        path
        for namespace in watched_namespaces(settings)
        for path in (
            sessions_path(namespace),
            core_path("pods", namespace),
            core_path("secrets", namespace),
        )
    ]


def _kopf_settings(settings: OperatorSettings) -> kopf.OperatorSettings:
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    # Namespaces are configured and the CRD was checked before, so no verbs on namespaces and CRDs
    # are needed.
    made.scanning.disabled = True
    made.peering.standalone = True
    # The thread must not kill the process at a time of its own; `__main__` ends the operator.
    made.process.ultimate_exiting_timeout = None
    made.watching.server_timeout = settings.watch_timeout_s
    made.watching.inactivity_timeout = settings.watch_timeout_s + 15
    made.watching.connect_timeout = settings.api_timeout_s
    made.watching.chunk_size = 500
    made.watching.label_selectors[("", "v1", "pods")] = settings.flags_pod_selector
    made.watching.label_selectors[("", "v1", "secrets")] = SECRETS_SELECTOR
    made.networking.request_timeout = settings.api_timeout_s
    made.networking.connect_timeout = settings.api_timeout_s
    made.networking.error_backoffs = (0.2, 0.5, 1, 2)
    made.queueing.worker_limit = _EVENT_LIMIT
    made.queueing.idle_timeout = 1.0
    made.queueing.exit_timeout = 1.0
    made.queueing.error_delays = (1, 2, 5)
    return made


def _registry(feed: Feed, progress: WatchHealth) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.AiohttpSession:
        info = credentials.credentials()
        return kopf.AiohttpSession(
            server=info.server, aiohttp_session=credentials.open_session(info, progress.answered)
        )

    def handler(kind: Kind) -> Callable[..., Any]:
        async def handle(event: Mapping[str, Any], **_: Any) -> None:
            feed(kind, event["type"], event["object"])

        return handle

    kopf.on.login(id="login", registry=registry)(login)
    kopf.on.event(GROUP, VERSION, PLURAL, id="sessions", registry=registry)(handler("sessions"))
    kopf.on.event("", "v1", "pods", id="pods", registry=registry)(handler("pods"))
    kopf.on.event("", "v1", "secrets", id="secrets", registry=registry)(handler("secrets"))
    return registry


class Watches:
    """The thread. When kopf ends, the reason is logged and kopf is started again."""

    def __init__(self, settings: OperatorSettings, feed: Feed, progress: WatchHealth) -> None:
        self._settings = settings
        self._progress = progress
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.failed: str | None = None
        # kopf warns at each start that signals are not handled in this thread; `__main__` handles
        # them.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)

    def _feed_from_thread(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._feed, kind, change, body)

    async def run(self, crd_is_there: Callable[[], Awaitable[bool]]) -> None:
        """Watch until cancelled.

        It waits for the CRD first, because kopf would wait for it for ever without a message.
        """
        pause = 0.5
        try:
            while True:
                await self._wait_for_crd(crd_is_there)
                began = self._loop.time()
                self._progress.restarted()
                self.failed = await asyncio.to_thread(self._watch) or "the watches ended"
                if self._stop.is_set():
                    return
                metrics.WATCH_RESTARTS.inc()
                pause = 0.5 if self._loop.time() - began > 60 else min(pause * 2, _PAUSE_MAX_S)
                log.error("watches_ended", reason=self.failed, again_in_s=pause)
                await asyncio.sleep(pause)
        finally:
            self._stop.set()

    async def _wait_for_crd(self, crd_is_there: Callable[[], Awaitable[bool]]) -> None:
        while (missing := await self._crd_problem(crd_is_there)) is not None:
            if self.failed != missing:
                log.error("cannot_watch", reason=missing)
            self.failed = missing
            await asyncio.sleep(_CRD_EVERY_S)
        self.failed = None

    @staticmethod
    async def _crd_problem(crd_is_there: Callable[[], Awaitable[bool]]) -> str | None:
        try:
            if await crd_is_there():
                return None
        except ClusterError as error:
            return str(error)
        return f"this cluster has no {PLURAL}.{GROUP}: kubectl apply --server-side -f crds/{PLURAL}.{GROUP}.yaml"

    def _watch(self) -> str | None:
        """Run kopf once; returns why it ended."""
        namespaces = [
            namespace for namespace in watched_namespaces(self._settings) if namespace is not None
        ]
        try:
            asyncio.run(
                kopf.operator(
                    registry=_registry(self._feed_from_thread, self._progress),
                    settings=_kopf_settings(self._settings),
                    namespaces=namespaces,
                    clusterwide=not namespaces,
                    standalone=True,
                    stop_flag=self._stop,
                )
            )
        # The boundary to kopf, which raises errors of many kinds; after each of them it is started
        # again.
        except Exception as error:  # noqa: BLE001
            return repr(error)[:300]
        return None

    def stop(self) -> None:
        """End the thread; `run` then returns."""
        self._stop.set()
