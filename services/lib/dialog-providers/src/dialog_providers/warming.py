"""Brings what a service needs of providers to life: again and again, with growing pauses, until each has answered."""

import asyncio
from typing import Final, Protocol

import structlog

log = structlog.get_logger("warming")

PAUSE_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
GRACE_S: Final = 5.0
"""So long the first ones of a chain get, though a later one has answered: the first turn should not pay for their connections."""


class Warmable(Protocol):
    """A chain of providers."""

    name: str

    async def warm(self) -> None:
        """Warm those that are not; raises where none of all is."""
        ...

    @property
    def any_warm(self) -> bool:
        """Whether one has answered."""
        ...

    @property
    def all_warm(self) -> bool:
        """Whether every one has answered."""
        ...


class Warming:
    """One chain. `untried`: they are still asked for the first time. `reason`: why none has ever answered; None once one has."""

    def __init__(self, what: str, chain: Warmable, failures: type[Exception]) -> None:
        """`failures`: what `warm` raises."""
        self._what, self._chain, self._failures = what, chain, failures
        self.reason: str | None = None
        self.untried = True
        self._ready = False

    async def run(self) -> None:
        """Until all have answered."""
        pause_s = PAUSE_S
        while True:
            try:
                await self._warm()
            except self._failures as error:
                self.untried = False
                if not self._ready:
                    self.reason = str(error)
                log.warning(
                    "not_warm",
                    what=self._what,
                    provider=self._chain.name,
                    reason=str(error),
                    again_in_s=pause_s,
                )
            else:
                self._note_ready()
                if self._chain.all_warm:
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _warm(self) -> None:
        warm = asyncio.create_task(self._chain.warm())
        try:
            await asyncio.wait([warm], timeout=GRACE_S)
            if not warm.done() and self._chain.any_warm:
                self._note_ready()
            await warm
        finally:
            warm.cancel()

    def _note_ready(self) -> None:
        self.untried = False
        if not self._ready:
            if self.reason is not None:
                log.info("provider_warm", what=self._what, provider=self._chain.name)
            self._ready, self.reason = True, None
