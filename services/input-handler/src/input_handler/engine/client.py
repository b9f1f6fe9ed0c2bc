"""Calls an engine: `POST /chat/stream`, its events as they come, and what went wrong in words a fallback can be counted by."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from pydantic import ValidationError

from dialog_contracts.http import CLIENT_BUSY, ChatRequest, ErrorBody
from dialog_contracts.sse import SseFrame, SseParser
from dialog_telemetry import metrics
from input_handler.errors import EngineFailed, EngineRefused
from service_runtime.http.service_client import ServiceClient

MAX_CONNECTIONS: Final = 1_000
REFUSAL_TIMEOUT_S: Final = 2.0


class EngineClient:
    """One engine. It says something every ten seconds, if only a comment: silent for `silent_s`, it is as good as gone."""

    def __init__(self, url: str, *, silent_s: float = 25.0) -> None:
        self._pool = ServiceClient(url, connections_max=MAX_CONNECTIONS, silent_s=silent_s)

    async def open(self) -> None:
        """Begin to keep connections."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close them."""
        await self._pool.aclose()

    async def ready(self) -> bool:
        """Whether the engine takes turns; also warms a connection."""
        return await self._pool.ready()

    @asynccontextmanager
    async def stream(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        accept_timeout_s: float,
    ) -> AsyncGenerator[AsyncGenerator[SseFrame, None], None]:
        """The turn's events, and its comments. Raises EngineRefused, EngineFailed; leaving the context closes the call."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            async with asyncio.timeout(accept_timeout_s):
                answer = await self._pool.request(
                    "POST", "/chat/stream", body=request.to_json().encode(), headers=headers
                )
        except TimeoutError as error:
            metrics.DEADLINES_MISSED.labels(deadline="accepted").inc()
            raise EngineFailed("not_accepted_in_time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed("not_reached", type(error).__name__) from error
        try:
            if answer.status != 200:
                raise await _engine_error(answer)
            yield self._frames(answer)
        finally:
            answer.close()

    async def _frames(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[SseFrame, None]:
        parser = SseParser(comments=True)
        try:
            async for data in answer.content.iter_any():
                for frame in parser.feed(data):
                    yield frame
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineFailed("cut", type(error).__name__) from error


async def _engine_error(answer: aiohttp.ClientResponse) -> EngineFailed | EngineRefused:
    try:
        async with asyncio.timeout(REFUSAL_TIMEOUT_S):
            body = ErrorBody.model_validate_json(await answer.read())
    except (ValidationError, aiohttp.ClientError, OSError):
        return EngineFailed(f"status_{answer.status}")
    if answer.status == 429 and body.code != CLIENT_BUSY:
        return EngineFailed("overloaded", body.message)
    if answer.status < 500:
        return EngineRefused(answer.status, body)
    if body.code == "draining":
        return EngineFailed("draining")
    return EngineFailed(f"status_{answer.status}", body.code)
