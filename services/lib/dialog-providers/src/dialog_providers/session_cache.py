"""Language models, or voices, that sessions' documents ask for: made at first use, shared by all sessions that ask for the same."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter

from dialog_providers.secret_files import SecretFiles
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.redact import redact

log = structlog.get_logger("session_cache")

MAX_CACHED: Final = 32
"""Providers of documents that are kept open."""

RETIRED_AFTER_S: Final = 120.0
"""A provider that no document needs any more may still be in the middle of a turn for so long."""


class ProviderSpec(Protocol):
    """What a document says about a provider; hashable, equal for the same wish."""

    @property
    def provider(self) -> str:
        """Its kind."""
        ...

    @property
    def api_key_file(self) -> str | None:
        """Name of its key's file."""
        ...


class Closable(Protocol):
    """What can be kept."""

    async def aclose(self) -> None:
        """Free its connections."""
        ...


W = TypeVar("W", bound=ProviderSpec)
P = TypeVar("P", bound=Closable)


class SessionProviderCache(Generic[W, P]):
    """`own` answers where a document says nothing, where its key is missing, and behind every session's provider.

    A key that ran out must not leave the character without a word.
    """

    def __init__(
        self,
        own: P,
        *,
        make: Callable[[W, str | None], P],
        chain: Callable[[list[P]], P],
        keys: SecretFiles,
        fallbacks: Counter,
    ) -> None:
        self._default, self._make, self._make_fallback, self._keys, self._fallbacks = (
            own,
            make,
            chain,
            keys,
            fallbacks,
        )
        self._tasks = BackgroundTasks()
        self._items: OrderedDict[W, tuple[P, P]] = OrderedDict()

    def get(self, wanted: W | None) -> P:
        """The provider for this wish; `own` where there is none."""
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
            # The border to providers: a document that its vendor's library does not like must not cost the session its turn.
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
        """Close what documents asked for; `own` is its owner's."""
        await self._tasks.close()
        # One that cannot be closed must not keep the others open.
        await asyncio.gather(
            *(made.aclose() for made, _ in self._items.values()), return_exceptions=True
        )

    @staticmethod
    async def _retire(item: P) -> None:
        try:
            await asyncio.sleep(RETIRED_AFTER_S)
        finally:
            await item.aclose()
