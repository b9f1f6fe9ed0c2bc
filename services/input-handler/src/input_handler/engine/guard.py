"""The way to one engine.

A circuit breaker before it, deadlines for ACCEPTED and the first delta.
"""

import asyncio
from typing import Final

from dialog_contracts.http import ChatRequest
from input_handler.engine import circuit_breaker
from input_handler.engine.circuit_breaker import CircuitBreaker
from input_handler.engine.client import EngineClient
from input_handler.engine.turn_stream import TurnStream
from input_handler.errors import ClaimedByLegacy, EngineFailed, EngineRefused

UNREACHABLE: Final = circuit_breaker.UNREACHABLE
UNRESPONSIVE: Final = frozenset(("not_accepted_in_time", circuit_breaker.OPEN))
"""Reasons of an engine that hangs, or did so often."""

RETRY_WINDOW_S: Final = 2.0
"""Deadline for ACCEPTED of a turn that an engine has begun already."""


class EngineGuard:
    """`name` labels the engine's circuit. The deadlines are in seconds, counted from the call.

    `waited_for`: turns wait for an engine that is away, so its absence does not open the circuit.
    """

    def __init__(
        self,
        engine: EngineClient,
        *,
        name: str = "0",
        accept_timeout_s: float,
        first_token_timeout_s: float,
        waited_for: bool = False,
        circuit_failures: int = 3,
        circuit_open_s: float = 2.0,
    ) -> None:
        self._engine = engine
        self._accept_timeout_s = accept_timeout_s
        self._first_token_timeout_s = first_token_timeout_s
        self._circuit = CircuitBreaker(
            name, failures=circuit_failures, open_s=circuit_open_s, waited_for=waited_for
        )
        self.name = name

    @property
    def circuit_state(self) -> str:
        """`closed`, `half-opened` or `opened`."""
        return self._circuit.state

    async def open(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        again: bool = False,
    ) -> TurnStream:
        """See `EnginePath`."""
        accept_timeout_s = RETRY_WINDOW_S if again else self._accept_timeout_s
        admission = None if again else await self._circuit.admit()
        called_at = asyncio.get_running_loop().time()
        try:
            response = await self._engine.call(
                request, last_event_id, traceparent, accept_timeout_s=accept_timeout_s
            )
        except (EngineFailed, EngineRefused, ClaimedByLegacy) as error:
            if admission is not None:
                await admission.settle(error)
            raise
        except BaseException:
            # The caller has left during the call, which says nothing about the engine.
            if admission is not None:
                admission.release()
            raise
        stream = TurnStream(
            response,
            admission,
            turn=request.turn or 0,
            last_event_id=last_event_id,
            called_at=called_at,
            accept_timeout_s=accept_timeout_s,
            first_token_timeout_s=self._first_token_timeout_s,
        )
        return await stream.start()

    def circuit_open(self, _: str) -> bool:
        """See `EnginePath`."""
        return self._circuit.is_open
