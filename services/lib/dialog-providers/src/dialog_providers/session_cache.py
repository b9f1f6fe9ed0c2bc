"""Cache of the language models or voices that sessions' documents ask for.

A document may name its own provider, model and key. Creating a provider for each turn would lose
its connections, and one for each session would multiply them, so providers are created at first use
and shared by all sessions with an equal specification.

At most MAX_CACHED of them stay open. The one that was not used for longest is retired: it is closed
only after RETIRED_AFTER_S, since a turn may still use it. Every session's provider falls back to
the service's default provider, and a session whose key is missing uses the default alone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter

from dialog_providers.secret_files import SecretFiles
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.redact import redact

log = structlog.get_logger("session_providers")

MAX_CACHED: Final = 32
"""Largest number of sessions' providers that are kept open."""

RETIRED_AFTER_S: Final = 120.0
"""Seconds until a retired provider is closed; a turn may use it for that long."""


class ProviderSpec(Protocol):
    """What a document says about a provider; hashable, and equal for equal settings."""

    @property
    def provider(self) -> str:
        """Kind of the provider."""
        ...

    @property
    def api_key_file(self) -> str | None:
        """Name of the key's file, or None."""
        ...


class Closable(Protocol):
    """A provider that can be cached."""

    async def aclose(self) -> None:
        """Close its connections."""
        ...


W = TypeVar("W", bound=ProviderSpec)
P = TypeVar("P", bound=Closable)


class SessionProviderCache(Generic[W, P]):
    """Creates and caches providers.

    `own` is the default: it answers where a document specifies nothing or its key is missing, and
    it is the fallback of every session's provider, so that an expired key does not leave the
    character without an answer.
    """

    def __init__(
        self,
        own: P,
        *,
        make: Callable[[W, str | None], P],
        chain: Callable[[list[P]], P],
        keys: SecretFiles,
        fell_through: Counter,
    ) -> None:
        self._default, self._make, self._make_fallback, self._keys, self._fallbacks = (
            own,
            make,
            chain,
            keys,
            fell_through,
        )
        self._tasks = BackgroundTasks()
        self._items: OrderedDict[W, tuple[P, P]] = OrderedDict()

    def get(self, wanted: W | None) -> P:
        """Return the provider for this specification.

        The default for None or when it cannot be created.
        """
        if wanted is None:
            return self._default
        key = self._keys.read(wanted.api_key_file)
        if wanted.api_key_file is not None and key is None:
            self._fallbacks.labels(provider=wanted.provider, reason="key_missing").inc()
            log.warning("session_key_missing", file=wanted.api_key_file)
            return self._default
        if wanted not in self._items:
            try:
                made = self._make(wanted, key)
            # The boundary to providers: a document that a vendor's library rejects must not fail
            # the session's turn.
            except Exception as error:  # noqa: BLE001
                self._fallbacks.labels(provider=wanted.provider, reason="not_made").inc()
                log.warning(
                    "session_provider_not_made",
                    provider=wanted.provider,
                    error=redact(repr(error), (key or "",)),
                )
                return self._default
            self._items[wanted] = (made, self._make_fallback([made, self._default]))
        self._items.move_to_end(wanted)
        while len(self._items) > MAX_CACHED:
            _, (retired, _) = self._items.popitem(last=False)
            self._tasks.start("retire", self._retire(retired))
        return self._items[wanted][1]

    async def aclose(self) -> None:
        """Close the cached providers. The owner of the default closes that one."""
        await self._tasks.close()
        # A provider that fails to close must not keep the others open.
        await asyncio.gather(
            *(made.aclose() for made, _ in self._items.values()), return_exceptions=True
        )

    @staticmethod
    async def _retire(item: P) -> None:
        try:
            await asyncio.sleep(RETIRED_AFTER_S)
        finally:
            await item.aclose()
