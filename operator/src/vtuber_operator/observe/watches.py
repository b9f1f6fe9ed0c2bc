"""kopf's part: the watches. It runs in a thread of its own, since it ends every task of its event loop when it stops."""

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
    """Namespaces that are watched: those of the sessions and that of the pods; (None,): all."""
    chosen = settings.namespaces()
    return tuple(sorted({*chosen, settings.pod_namespace})) if chosen else (None,)


def watched_paths(settings: OperatorSettings) -> list[str]:
    """Every path that is listed and watched."""
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
    # Namespaces are named, and the CRD was looked for before: no verbs on namespaces and CRDs are needed.
    made.scanning.disabled = True
    made.peering.standalone = True
    # The operator ends when its process does; a thread that kills the process at its own time is not wanted.
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
    """The thread. Whatever ends kopf (a deleted CRD, a role that was taken away) is logged, and it is started anew."""

    def __init__(self, settings: OperatorSettings, feed: Feed, progress: WatchHealth) -> None:
        self._settings = settings
        self._progress = progress
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.failed: str | None = None
        # It warns at each start that signals are not handled in this thread; __main__ handles them.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)

    def _feed_from_thread(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._feed, kind, change, body)

    async def run(self, crd_is_there: Callable[[], Awaitable[bool]]) -> None:
        """Watch until cancelled. Waits for the CRD first: kopf would wait for ever, and say nothing."""
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
        """One life of kopf; returns why it ended."""
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
        # The boundary to kopf, whose errors are of many kinds; each means: begin anew.
        except Exception as error:  # noqa: BLE001
            return repr(error)[:300]
        return None

    def stop(self) -> None:
        """Let the thread end; `run` returns then."""
        self._stop.set()
