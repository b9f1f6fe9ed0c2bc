"""A circuit breaker before an engine: turns do not wait for an engine that hangs or is gone.

Only the engine's behaviour moves it. Three failures count against the engine, because they cost
turns time: it is not reached, it is silent, or it breaks off. A response of any kind, an error too,
counts for it. A caller that leaves and an error on our side count neither way, so nothing that a
client sends opens the circuit for others or keeps it closed.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from dialog_telemetry import metrics
from input_handler.errors import ClaimedByLegacy, EngineFailed, EngineRefused

log = structlog.get_logger("turn")

UNREACHABLE: Final = frozenset(("not_reached", "draining"))
"""Reasons of an engine that ends or starts. They cost a turn no time."""

TIMED_OUT: Final = frozenset(("not_accepted_in_time", "no_delta_in_time", "cut"))
"""Reasons of an engine that hangs or breaks down."""

OPEN: Final = "circuit_open"
PROBE_S: Final = 5.0
"""How long one turn probes alone.

Its caller may read nothing of its events, and then the turn does not end by itself.
"""

STATES: Final = {"closed": 0, "half-opened": 1, "opened": 2}
NAME: Final = "engine"


class CircuitBreaker:
    """Over purgatory (asyncio, typed, no dependencies).

    It opens after `failures` failures in a row; then one turn every `open_s` seconds probes the
    engine. `waited_for`: turns wait for an engine that is away, so its absence is no failure.
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
        """Whether it is open and no probe is due."""
        return self.state == "opened" and asyncio.get_running_loop().time() < self._open_until

    async def admit(self) -> "Admission":
        """Admit one turn. Raises EngineFailed (`circuit_open`) where the circuit is open.

        purgatory admits every turn while it is half open. Here one turn probes the engine, for
        `PROBE_S` at most, and the others fail at once.
        """
        breaker = await self._breakers.get_breaker(NAME)
        now = asyncio.get_running_loop().time()
        if now < self._probing_until:
            raise EngineFailed(OPEN)
        try:
            await breaker.__aenter__()
        except OpenedState as error:
            raise EngineFailed(OPEN) from error
        probes = breaker.context.state == "half-opened"
        if probes:
            self._probing_until = now + PROBE_S
        return Admission(breaker, self._end_probe if probes else None)

    def _end_probe(self) -> None:
        self._probing_until = 0.0

    def _counts(self, error: BaseException) -> bool:
        return not (isinstance(error, EngineFailed) and error.reason in self._against)

    def _export_state(self, _: str, event: str, payload: Any) -> None:
        if event == "state_changed":
            self.state = payload.state
            self._open_until = asyncio.get_running_loop().time() + self._open_s
            metrics.CIRCUIT.labels(engine=self._engine).set(STATES[payload.state])
            log.warning("circuit", engine=self._engine, state=payload.state)


class Admission:
    """One turn that the circuit has admitted. Its outcome is told once; the first call decides."""

    def __init__(self, breaker: AsyncCircuitBreaker, end_probe: Callable[[], None] | None) -> None:
        self._breaker: AsyncCircuitBreaker | None = breaker
        self._end_probe = end_probe

    async def settle(self, error: EngineFailed | EngineRefused | ClaimedByLegacy | None) -> None:
        """Tell the circuit how the turn went; None: the engine answered."""
        breaker, self._breaker = self._breaker, None
        if breaker is None:
            return
        try:
            if error is None:
                await breaker.__aexit__(None, None, None)
            else:
                await breaker.__aexit__(type(error), error, error.__traceback__)
        finally:
            self.release()

    def release(self) -> None:
        """End the turn without an outcome, as when its caller has left."""
        self._breaker = None
        if self._end_probe is not None:
            self._end_probe()
            self._end_probe = None
