"""Calls an engine, `POST /chat/stream`.

A failure becomes EngineFailed with a reason of a small set, which metrics count fallbacks by.
"""

import asyncio
from collections.abc import Iterator
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
FETCH_TIMEOUT_S: Final = 3.0
FORWARD_TIMEOUT_S: Final = 120.0
"""Seconds to the head of a response; an engine copies its whole database before it."""


class EngineClient:
    """One engine. It sends at least a comment every ten seconds.

    A call that receives nothing for `silent_s` seconds counts as broken.
    """

    def __init__(self, url: str, *, silent_s: float = 25.0) -> None:
        self.url = url
        self._pool = ServiceClient(url, connections_max=MAX_CONNECTIONS, silent_s=silent_s)

    async def open(self) -> None:
        """Create the connection pool."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def ready(self) -> bool:
        """Return whether the engine reports ready; also opens a connection."""
        return await self._pool.ready()

    async def fetch(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of the response to a request that is not a turn.

        Raises EngineUnreachable.
        """
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT_S),
                await self._pool.request(method, path, body=body, headers=headers) as answer,
            ):
                raw = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachable(f"the engine at {self.url}: {type(error).__name__}") from error
        if answer.status != 200:
            raise EngineUnreachable(f"the engine at {self.url}: status {answer.status}")
        return raw

    async def forward(self, method: str, path: str, body: bytes | None) -> aiohttp.ClientResponse:
        """Return the response to a request that is passed on as it is; the caller closes it.

        Raises EngineUnreachable.
        """
        headers = {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(FORWARD_TIMEOUT_S):
                return await self._pool.request(method, path, body=body, headers=headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachable(f"the engine at {self.url}: {type(error).__name__}") from error

    async def call(
        self,
        request: ChatRequest,
        last_event_id: str | None,
        traceparent: str | None,
        *,
        accept_timeout_s: float,
    ) -> "EngineResponse":
        """Call the engine and return its response. Raises EngineRefused or EngineFailed."""
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
        if answer.status != 200:
            try:
                raise await _engine_error(answer)
            finally:
                answer.close()
        return EngineResponse(answer)


class EngineUnreachable(Exception):
    """The engine did not answer a request that is not a turn, or with an error."""


class EngineResponse:
    """The events and comments of one call. It must be closed."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer, self._parser = answer, SseParser(comments=True)
        self._parsed: Iterator[SseFrame] = iter(())

    async def next(self) -> SseFrame | None:
        """Return the next event or comment; None at the end. Raises EngineFailed."""
        try:
            while (frame := next(self._parsed, None)) is None:
                data = await self._answer.content.readany()
                if not data:
                    return None
                self._parsed = self._parser.feed(data)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineFailed("cut", type(error).__name__) from error
        return frame

    def close(self) -> None:
        """Close the call; the engine continues the turn."""
        self._answer.close()


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
