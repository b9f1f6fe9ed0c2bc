"""Pauses, resumes and stops a session's reply at output-handler."""

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
    """A paused reply.

    Later calls name its turn, so that a late call does not affect the next turn.
    """

    turn: int | None


class PlaybackClient:
    """Calls never raise: a failure is counted, and the microphone goes on."""

    def __init__(self, url: str) -> None:
        self._pool = ServiceClient(url)

    async def open(self) -> None:
        """Create the connection pool."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def pause(self, session_id: str) -> PausedTurn | None:
        """Pause the session's reply; return it, or None if nothing plays."""
        reply = await self._call("pause", session_id, None)
        if reply is None or not reply.get("held"):
            return None
        turn = reply.get("turn")
        return PausedTurn(turn if isinstance(turn, int) else None)

    async def resume(self, session_id: str, paused: PausedTurn) -> None:
        """Resume a paused reply."""
        await self._call("resume", session_id, paused.turn)

    async def stop(self, session_id: str, paused: PausedTurn) -> None:
        """Stop a paused reply."""
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
                # 404: the session was never played. 409: this turn may not be interrupted.
                outcome = str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            outcome = type(error).__name__
        metrics.SPEECH_CONTROLS_FAILED.labels(verb=verb, outcome=outcome).inc()
        log.info("playback_not_controlled", verb=verb, session=session_id, outcome=outcome)
        return None
