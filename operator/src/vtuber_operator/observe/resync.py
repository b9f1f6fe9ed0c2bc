"""Lists all resources from time to time.

A watch that was interrupted does not report what was deleted meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from vtuber_operator.clients.kubernetes import ClusterApi, core_path, sessions_path
from vtuber_operator.errors import ClusterError
from vtuber_operator.observe.cache import Kind, ResourceCache
from vtuber_operator.observe.watches import SECRETS_SELECTOR, watched_namespaces
from vtuber_operator.settings import OperatorSettings

log = structlog.get_logger("resync")
_SETTLED_S: Final = 0.1
_AGAIN_S: Final = 1.0


class Resync:
    """Lists everything every `full_resync_s` seconds, and soon after a watch had to list again."""

    def __init__(
        self,
        settings: OperatorSettings,
        api: ClusterApi,
        observed: ResourceCache,
        after: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._api = api
        self._observed = observed
        self._after = after
        self._clock = clock
        self._requested = asyncio.Event()
        self.succeeded_at: float | None = None

    def request(self) -> None:
        """Request a resync: the watches are established, or one had to list again."""
        self._requested.set()

    @property
    def complete(self) -> bool:
        """Whether everything has been listed once.

        An established watch alone does not show that, since the objects of its list may still be on
        their way to the cache.
        """
        return self.succeeded_at is not None

    async def run(self) -> None:
        """Resync until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._settings.full_resync_s):
                    await self._requested.wait()
                # The objects of the list that caused this resync are still being processed.
                await asyncio.sleep(_SETTLED_S)
            except TimeoutError:
                pass
            self._requested.clear()
            try:
                await self.run_once()
            except ClusterError as error:
                log.warning("resync_failed", reason=str(error))
                await asyncio.sleep(error.retry_after_s or _AGAIN_S)
                self._requested.set()

    async def run_once(self) -> None:
        """List every kind in every watched namespace."""
        kinds: tuple[tuple[Kind, Callable[[str | None], str], str | None], ...] = (
            ("sessions", sessions_path, None),
            (
                "pods",
                lambda namespace: core_path("pods", namespace),
                self._settings.flags_pod_selector,
            ),
            ("secrets", lambda namespace: core_path("secrets", namespace), SECRETS_SELECTOR),
        )
        for kind, path, selector in kinds:
            for namespace in watched_namespaces(self._settings):
                before = frozenset(
                    key for key in self._observed.keys(kind) if namespace in (None, key[0])
                )
                found = await self._api.list_all(path(namespace), selector)
                if gone := self._observed.resync(kind, found, before):
                    # Either an interrupted watch missed these deletions, or their events arrive
                    # later than this list.
                    log.info("deletions_found", kind=kind, count=gone)
        self.succeeded_at = self._clock()
        self._after()
