"""The engines that turns can go to.

These are the configured ones, and any other that an engine names while their number is changed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from dialog_contracts.rendezvous import rank_engines
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard

ANY_ORDINAL: Final = -1
"""In the place of an ordinal, where there is one address for all engines."""

ORDINALS: Final = 256
ORDINAL_PLACEHOLDER: Final = "{}"


class EnginePool:
    """`urls`: addresses by ordinal, or one address for all. `pattern`: any engine's, with `{}`.

    `connect` makes the client of an address, `path` the guard of a client and an engine's name.
    """

    def __init__(
        self,
        urls: Sequence[str],
        pattern: str | None,
        connect: Callable[[str], EngineClient],
        path: Callable[[EngineClient, str], EngineGuard],
    ) -> None:
        self._pattern, self._connect, self._path = pattern, connect, path
        self._count = len(urls)
        first = ANY_ORDINAL if len(urls) == 1 else 0
        self._clients = {ordinal: connect(url) for ordinal, url in enumerate(urls, first)}
        self._paths = {
            ordinal: path(client, _name(ordinal)) for ordinal, client in self._clients.items()
        }
        self._configured = tuple(self._paths.values())

    async def open(self) -> None:
        """Create the connection pools."""
        for client in self._clients.values():
            await client.open()

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def warm(self) -> None:
        """Open a connection to each configured engine."""
        await asyncio.gather(*(client.ready() for client in self._clients.values()))

    def client_of(self, ordinal: int) -> EngineClient | None:
        """Return the client of a configured engine; the only one has ordinal 0."""
        return self._clients.get(ANY_ORDINAL if self._count == 1 and not ordinal else ordinal)

    def ordinals(self) -> list[int]:
        """Return the ordinals of the configured engines."""
        return list(range(self._count))

    def clients(self) -> list[EngineClient]:
        """Return the clients of all engines that are known."""
        return list(self._clients.values())

    def candidates(self, session_id: str) -> list[int]:
        """Return a session's engines in order: its home engine, then those that replace it."""
        return [ANY_ORDINAL] if self._count == 1 else rank_engines(session_id, self._count)

    async def get(self, ordinal: int) -> EngineGuard | None:
        """Return the path to an engine; None for an ordinal that cannot be reached."""
        if ordinal in self._paths:
            return self._paths[ordinal]
        if self._pattern is None or ordinal >= ORDINALS:
            return None
        client = self._connect(self._pattern.replace(ORDINAL_PLACEHOLDER, str(ordinal)))
        # Stored before it is open, so that a concurrent turn does not make a second one.
        self._clients[ordinal] = client
        self._paths[ordinal] = self._path(client, _name(ordinal))
        await client.open()
        return self._paths[ordinal]

    def circuit_open(self, session_id: str) -> bool:
        """Return whether every configured engine would refuse a turn at once."""
        return all(path.circuit_open(session_id) for path in self._configured)

    def circuit_states(self) -> dict[str, str]:
        """Return the state of each engine's circuit, by its name."""
        return {path.name: path.circuit_state for path in self._paths.values()}


def _name(ordinal: int) -> str:
    return "only" if ordinal == ANY_ORDINAL else str(ordinal)
