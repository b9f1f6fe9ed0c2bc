"""Limits the number of running turns: of the engine, and of each client address."""

import asyncio
from collections import Counter

from dialog_engine.errors import ClientBusy, TooManyTurns


class RunningTurns:
    """Counts turns from their start to their end."""

    def __init__(self, max_total: int, max_per_client: int) -> None:
        self._max_total, self._max_per_client = max_total, max_per_client
        self._by_client: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self.total = 0

    @property
    def clients(self) -> int:
        """Number of client addresses with a running turn."""
        return len(self._by_client)

    def check_total(self) -> None:
        """Raise TooManyTurns if the engine is at its limit."""
        if self.total >= self._max_total:
            raise TooManyTurns(f"{self._max_total} turns at once is the limit", retry_after_s=1)

    def check_client(self, client: str | None, *, replaces: str | None) -> None:
        """Raise ClientBusy if this client is at its limit.

        `replaces` is the client of the turn that the new one interrupts: that turn no longer
        counts.
        """
        if client is None:
            return
        limit = self._max_per_client
        if self._by_client[client] - (client == replaces) >= limit:
            raise ClientBusy(
                f"{limit} turns at once is the limit of a client address",
                limit=limit,
                retry_after_s=1,
            )

    def started(self, client: str | None) -> None:
        """Count a new turn."""
        self.total += 1
        self._idle.clear()
        if client is not None:
            self._by_client[client] += 1

    def ended(self, client: str | None) -> None:
        """Release the turn's place."""
        self.total -= 1
        if not self.total:
            self._idle.set()
        if client is not None:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    async def wait_idle(self) -> None:
        """Wait until no turn runs."""
        await self._idle.wait()
