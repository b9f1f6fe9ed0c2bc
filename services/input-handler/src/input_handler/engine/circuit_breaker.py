"""A circuit breaker before an engine: spares turns the wait for one that hangs or is gone.

It is moved by what the engine does, and by nothing else. Against it counts only what costs turns time: it is not reached, is silent, or
breaks off. An answer of any kind, an error too, speaks for it: it is there. A caller that leaves says neither, and an error on our own side
does not either; so nothing that a client sends opens the circuit for others, or keeps it closed for them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from dialog_telemetry import metrics
from input_handler.errors import ClaimedByLegacy, EngineFailed, EngineRefused

log = structlog.get_logger("turn")

UNREACHABLE: Final = frozenset(("not_reached", "draining"))
"""Failures of an engine that ends or starts. They cost no time."""

TIMED_OUT: Final = frozenset(("not_accepted_in_time", "no_delta_in_time", "cut"))
"""Failures of one that hangs or breaks down."""

OPEN: Final = "circuit_open"
PROBE_S: Final = 5.0
"""So long one turn looks alone. Its caller may take nothing of what it is sent, and the turn then comes to no end by itself."""

STATES: Final = {"closed": 0, "half-opened": 1, "opened": 2}
NAME: Final = "engine"


class CircuitBreaker:
    """Over purgatory (asyncio, typed, no dependencies): open after `failures` in a row; every `open_s` one turn is let through to look.

    Where an engine that is away is `waited_for`, its being away is none of these failures: the turns that wait have nowhere else to go.
    """

    def __init__(self, engine: str, *, failures: int, open_s: float, waited_for: bool) -> None:
        self._engine, self._open_s = engine, open_s
        self._against = TIMED_OUT if waited_for else TIMED_OUT | UNREACHABLE
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=failures, default_ttl=open_s, exclude=[(Exception, self._counts)]
        )
        self._breakers.add_listener(self._export_state)
        self._open_until, self._probing_until = 0.0, 0.0
        self.state = "closed"

    @property
    def is_open(self) -> bool:
        """Whether it is open, and no turn is due to look."""
        return self.state == "opened" and asyncio.get_running_loop().time() < self._open_until

    @asynccontextmanager
    async def admit(self) -> AsyncGenerator[None, None]:
        """Raises EngineFailed where it is open. Half open, purgatory lets everybody through; here one turn looks, others go elsewhere."""
        breaker = await self._breakers.get_breaker(NAME)
        now = asyncio.get_running_loop().time()
        if now < self._probing_until:
            raise EngineFailed(OPEN)
        try:
            await breaker.__aenter__()
        except OpenedState as error:
            raise EngineFailed(OPEN) from error
        probing = breaker.context.state == "half-opened"
        if probing:
            self._probing_until = now + PROBE_S
        try:
            yield
        except (EngineFailed, EngineRefused, ClaimedByLegacy) as error:
            await breaker.__aexit__(type(error), error, error.__traceback__)
            raise
        else:
            await breaker.__aexit__(None, None, None)
        finally:
            if probing:
                self._probing_until = 0.0

    def _counts(self, error: BaseException) -> bool:
        return not (isinstance(error, EngineFailed) and error.reason in self._against)

    def _export_state(self, _: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            self.state = payload.state
            self._open_until = asyncio.get_running_loop().time() + self._open_s
            metrics.CIRCUIT.labels(engine=self._engine).set(STATES[payload.state])
            log.warning("circuit", engine=self._engine, state=payload.state)
