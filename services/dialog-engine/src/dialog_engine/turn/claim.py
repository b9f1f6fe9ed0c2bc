"""The engine's claim on a turn: taken before the first delta, and, where Redis was silent, asked for again until it is known."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from dialog_engine.redis_shelf import Claim

log = structlog.get_logger("turn")

AGAIN_AFTER_S: Final = 0.1


class TurnClaim:
    """One turn's claim. Taken late, so that an engine that hangs before its first word leaves the turn to the other path."""

    def __init__(self, name: str, ask: Callable[[str], Awaitable[Claim]]) -> None:
        self._name, self._ask = name, ask
        self.state: Claim | None = None

    @property
    def certain(self) -> bool:
        """Nobody else can be answering."""
        return self.state is Claim.OURS

    async def take(self) -> bool:
        """Whether the turn may be answered here."""
        self.state = await self._ask(self._name)
        if self.state is Claim.UNKNOWN:
            log.warning(
                "unclaimed",
                reason="Redis is silent: the turn is answered here, and the claim is asked for again",
            )
        return self.state is not Claim.THEIRS

    async def settle(self) -> bool:
        """Ask until it is known; false when the other path has the turn after all."""
        while self.state is Claim.UNKNOWN:
            await asyncio.sleep(AGAIN_AFTER_S)
            self.state = await self._ask(self._name)
        return self.state is Claim.OURS
