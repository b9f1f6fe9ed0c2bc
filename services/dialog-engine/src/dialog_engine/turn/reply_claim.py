"""The engine's claim on a turn: taken before the first delta, and, where Redis was silent, asked for again until it is known."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from dialog_engine.redis_store import ClaimState

log = structlog.get_logger("turn")

RETRY_INTERVAL_S: Final = 0.1


class ReplyClaim:
    """One turn's claim. Taken late, so that an engine that hangs before its first word leaves the turn to the other path."""

    def __init__(self, name: str, ask: Callable[[str], Awaitable[ClaimState]]) -> None:
        self._name, self._ask = name, ask
        self.state: ClaimState | None = None

    @property
    def acquired(self) -> bool:
        """Nobody else can be answering."""
        return self.state is ClaimState.ACQUIRED

    async def acquire(self) -> bool:
        """Whether the turn may be answered here."""
        self.state = await self._ask(self._name)
        if self.state is ClaimState.UNKNOWN:
            log.warning(
                "reply_claim_unknown",
                reason="Redis is silent: the turn is answered here, and the claim is asked for again",
            )
        return self.state is not ClaimState.HELD_BY_OTHER

    async def resolve(self) -> bool:
        """Ask until it is known; false when the other path has the turn after all."""
        while self.state is ClaimState.UNKNOWN:
            await asyncio.sleep(RETRY_INTERVAL_S)
            self.state = await self._ask(self._name)
        return self.state is ClaimState.ACQUIRED
