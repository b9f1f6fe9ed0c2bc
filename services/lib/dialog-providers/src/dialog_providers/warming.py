"""Warms a service's providers, with growing pauses, until each of them has answered."""

import asyncio
from typing import Final, Protocol

import structlog

log = structlog.get_logger("warming")

PAUSE_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
GRACE_S: Final = 5.0
"""Seconds to wait for the first providers of a list when a later one has answered already.

Otherwise the first turn would wait for their connections.
"""


class Warmable(Protocol):
    """A list of providers that are tried in order."""

    name: str

    async def warm(self) -> None:
        """Warm the providers that are not warm; raises where none is."""
        ...

    @property
    def any_warm(self) -> bool:
        """Whether at least one provider has answered."""
        ...

    @property
    def all_warm(self) -> bool:
        """Whether every provider has answered."""
        ...


class Warming:
    """Warms one list of providers.

    `untried` is true until the first attempt has ended. `reason` says why no provider has ever
    answered; it is None once one has.
    """

    def __init__(self, what: str, chain: Warmable, failures: type[Exception]) -> None:
        """`failures` is the type of exception that `warm` raises."""
        self._what, self._chain, self._failures = what, chain, failures
        self.reason: str | None = None
        self.untried = True
        self._ready = False

    async def run(self) -> None:
        """Repeat until all providers have answered.

        The pause doubles from 1 s to 60 s.
        """
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
                log.info("warm_after_all", what=self._what, provider=self._chain.name)
            self._ready, self.reason = True, None
