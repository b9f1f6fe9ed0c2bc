"""Calls an engine: `POST /chat/stream`, its events as they come, and what went wrong in words a fallback can be counted by."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from pydantic import ValidationError

from dialog_contracts.http import ChatRequest, ErrorBody
from dialog_contracts.sse import SseFrame, SseParser
from input_handler.errors import EngineFailed, EngineRefused
from service_runtime.tasks import TaskOwner

CONNECTIONS_MAX: Final = 1_000
REFUSAL_WITHIN_S: Final = 2.0
RETIRED_MAX: Final = 32
"""Pools that were given up and may still carry a turn."""


class EngineClient:
    """One engine. aiohttp rather than httpx: two milliseconds less a turn in a trial over a bare chain of services."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/chat/stream"
        self._ready_url = f"{url.rstrip('/')}/readyz"
        self._http: aiohttp.ClientSession | None = None
        self._retired: deque[aiohttp.ClientSession] = deque()
        self._tasks = TaskOwner()

    async def open(self) -> None:
        """Make the connection pool."""
        self._http = self._pool()

    def _pool(self) -> aiohttp.ClientSession:
        # An engine's pod comes back under its name with another address.
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=60, ttl_dns_cache=2)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def aclose(self) -> None:
        """Close the pool."""
        for pool in (*self._retired, self._http):
            if pool is not None:
                await pool.close()
        await self._tasks.close()

    def _begin_anew(self) -> None:
        """New connections from now on; turns that run over the old ones end there."""
        assert self._http is not None
        self._retired.append(self._http)
        self._http = self._pool()
        if len(self._retired) > RETIRED_MAX:
            self._tasks.start("retire", self._retired.popleft().close())

    async def ready(self) -> bool:
        """Whether the engine takes turns; also warms a connection."""
        assert self._http is not None
        try:
            async with self._http.get(self._ready_url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    @asynccontextmanager
    async def stream(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None, *, accepted_within_s: float
    ) -> AsyncGenerator[AsyncGenerator[SseFrame, None], None]:
        """The turn's events. Raises EngineRefused, EngineFailed; leaving the context closes the call."""
        assert self._http is not None
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            async with asyncio.timeout(accepted_within_s):
                answer = await self._http.post(self._url, data=request.to_json().encode(), headers=headers)
        except TimeoutError as error:
            raise EngineFailed("not_accepted_in_time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed("not_reached", type(error).__name__) from error
        try:
            if answer.status != 200:
                if answer.content_type != "application/json":
                    # Not an engine of ours: whoever this is, its connections must not be taken for the engine's again.
                    self._begin_anew()
                    raise EngineFailed(f"status_{answer.status}")
                raise await _refusal(answer)
            yield self._frames(answer)
        finally:
            answer.close()

    async def _frames(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[SseFrame, None]:
        parser = SseParser()
        try:
            async for data in answer.content.iter_any():
                for frame in parser.feed(data):
                    yield frame
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineFailed("cut", type(error).__name__) from error


async def _refusal(answer: aiohttp.ClientResponse) -> EngineFailed | EngineRefused:
    try:
        async with asyncio.timeout(REFUSAL_WITHIN_S):
            body = ErrorBody.model_validate_json(await answer.read())
    except (ValidationError, aiohttp.ClientError, OSError):
        return EngineFailed(f"status_{answer.status}")
    if answer.status == 429:
        return EngineFailed("overloaded", body.message)
    if answer.status < 500:
        return EngineRefused(answer.status, body)
    if body.code == "draining":
        return EngineFailed("draining")
    return EngineFailed(f"status_{answer.status}", body.code)
