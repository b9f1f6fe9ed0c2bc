"""The engine's reply claim: it decides that this turn is answered here and not by the fallback.

The claim is acquired when the first text arrives from the language model. An engine that hangs
earlier therefore leaves the turn to the legacy pipeline.

While Redis is not available the claim is unknown. The engine then answers, because the legacy
pipeline needs Redis too, and repeats the request until the answer is known. If the legacy pipeline
has the claim after all, the runner stops the turn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from dialog_engine.redis_store import ClaimState

log = structlog.get_logger("turn")

RETRY_INTERVAL_S: Final = 0.1


class ReplyClaim:
    """The claim of one turn. `ask` sends the request to Redis."""

    def __init__(self, name: str, ask: Callable[[str], Awaitable[ClaimState]]) -> None:
        self._name, self._ask = name, ask
        self.state: ClaimState | None = None

    @property
    def acquired(self) -> bool:
        """Whether the claim is certain."""
        return self.state is ClaimState.ACQUIRED

    async def acquire(self) -> bool:
        """Request the claim once. Return whether the turn may be answered here.

        That is also the case while the claim is unknown.
        """
        self.state = await self._ask(self._name)
        if self.state is ClaimState.UNKNOWN:
            log.warning(
                "reply_claim_unknown",
                reason="Redis is not available: answered here, and the claim is requested again",
            )
        return self.state is not ClaimState.HELD_BY_OTHER

    async def resolve(self) -> bool:
        """Repeat the request every 0.1 s until the claim is known; return whether it is ours."""
        while self.state is ClaimState.UNKNOWN:
            await asyncio.sleep(RETRY_INTERVAL_S)
            self.state = await self._ask(self._name)
        return self.state is ClaimState.ACQUIRED
