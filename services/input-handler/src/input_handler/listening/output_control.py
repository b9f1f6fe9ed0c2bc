"""Tells output-handler that somebody speaks: what sounds in the session stands still, goes on, or is over."""

import asyncio
from typing import Final, Literal

import aiohttp
import structlog

from dialog_contracts.http import StopRequest
from dialog_telemetry import metrics
from service_runtime.service_pool import ServicePool

log = structlog.get_logger("output_control")

WITHIN_S: Final = 0.5
REASON: Final = "speech"

Verb = Literal["pause", "resume", "stop"]
_ANSWERS: Final[dict[Verb, str]] = {"pause": "held", "resume": "held", "stop": "stopped"}


class OutputControl:
    """`do` never raises: a reply that cannot be silenced now must not keep anybody from being heard."""

    def __init__(self, url: str) -> None:
        self._pool = ServicePool(url)

    async def open(self) -> None:
        """Begin to keep connections."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close them."""
        await self._pool.aclose()

    async def do(self, verb: Verb, session_id: str) -> bool:
        """Whether there was anything to do, and it was done."""
        body = StopRequest(session_id=session_id, reason=REASON).to_json().encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(WITHIN_S),
                await self._pool.request("POST", f"/control/{verb}", body=body, headers=headers) as answer,
            ):
                if answer.status == 202:
                    return bool((await answer.json())[_ANSWERS[verb]])
                # 404: nobody ever watched; 409: this turn may not be interrupted.
                outcome = str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            outcome = type(error).__name__
        metrics.SPEECH_CONTROLS_FAILED.labels(verb=verb, outcome=outcome).inc()
        log.info("not_controlled", verb=verb, session=session_id, outcome=outcome)
        return False
