"""Tells output-handler that somebody speaks: what sounds in the session stands still, goes on, or is over."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
import structlog

from dialog_contracts.http import StopRequest
from dialog_telemetry import metrics
from service_runtime.http.service_client import ServiceClient

log = structlog.get_logger("playback_client")

TIMEOUT_S: Final = 0.5
REASON: Final = "speech"

Verb = Literal["pause", "resume", "stop"]


@dataclass(frozen=True, slots=True)
class PausedTurn:
    """A reply stands still. What is asked of it later names its turn, so that nothing late hits the next one."""

    turn: int | None


class PlaybackClient:
    """Nothing here raises: a reply that cannot be silenced now must not keep anybody from being heard."""

    def __init__(self, url: str) -> None:
        self._pool = ServiceClient(url)

    async def open(self) -> None:
        """Begin to keep connections."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close them."""
        await self._pool.aclose()

    async def pause(self, session_id: str) -> PausedTurn | None:
        """Let what sounds in the session stand still; None when nothing did."""
        reply = await self._call("pause", session_id, None)
        if reply is None or not reply.get("held"):
            return None
        turn = reply.get("turn")
        return PausedTurn(turn if isinstance(turn, int) else None)

    async def resume(self, session_id: str, paused: PausedTurn) -> None:
        """Let it go on."""
        await self._call("resume", session_id, paused.turn)

    async def stop(self, session_id: str, paused: PausedTurn) -> None:
        """It is over."""
        await self._call("stop", session_id, paused.turn)

    async def _call(self, verb: Verb, session_id: str, turn: int | None) -> dict[str, Any] | None:
        body = StopRequest(session_id=session_id, turn=turn, reason=REASON).to_json().encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                await self._pool.request(
                    "POST", f"/control/{verb}", body=body, headers=headers
                ) as answer,
            ):
                found = await answer.json()
                if answer.status == 202 and isinstance(found, dict):
                    return found
                # 404: nobody ever watched; 409: this turn may not be interrupted.
                outcome = str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            outcome = type(error).__name__
        metrics.SPEECH_CONTROLS_FAILED.labels(verb=verb, outcome=outcome).inc()
        log.info("playback_not_controlled", verb=verb, session=session_id, outcome=outcome)
        return None
