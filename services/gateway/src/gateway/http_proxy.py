"""Forwards a request and streams its response byte by byte.

When the caller disconnects, the upstream call is closed at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dialog_contracts.http import CLIENT_HEADER
from dialog_telemetry import metrics
from gateway.errors import UpstreamUnavailable
from service_runtime.http.service_client import ServiceClient

PASSED_ON: Final = ("accept", "last-event-id", "traceparent")
PASSED_BACK: Final = ("content-type", "retry-after", "cache-control", "x-accel-buffering")


class HttpProxy:
    """Calls to one service.

    It must send the head of its response within `head_within_s` seconds.
    """

    def __init__(self, url: str, *, head_within_s: float) -> None:
        self._pool, self._response_timeout_s = ServiceClient(url), head_within_s

    async def open(self) -> None:
        """Create the connection pool."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def ready(self) -> bool:
        """Return whether the service reports ready; also opens a connection."""
        return await self._pool.ready()

    def forward(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        client: str | None = None,
        head_within_s: float | None = None,
    ) -> Response:
        """Return the service's response as a streaming response.

        It raises UpstreamUnavailable before it starts if the service does not answer. `client` is
        the client for the limits of the service.
        """
        passed = {name: value for name in PASSED_ON if (value := headers.get(name)) is not None}
        if client:
            passed[CLIENT_HEADER] = client
        if body is not None:
            # A caller need not say it, but the services read nothing else.
            passed["content-type"] = "application/json"
        asking = partial(self._pool.request, method, path, body=body, headers=passed)
        return ProxiedResponse(asking, path, head_within_s or self._response_timeout_s)


class ProxiedResponse(Response):
    """A forwarded response, which ends with its caller at any stage."""

    def __init__(
        self, ask: Callable[[], Awaitable[aiohttp.ClientResponse]], path: str, head_within_s: float
    ) -> None:
        super().__init__()
        self._ask, self._path, self._response_timeout_s = ask, path, head_within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the service and copy until the response ends or the caller disconnects.

        Raises UpstreamUnavailable.
        """
        passing = asyncio.create_task(self._pass_on(send))
        leaving = asyncio.create_task(_wait_disconnect(receive))
        with metrics.GATEWAY_CONNECTIONS.labels(kind="http").track_inprogress():
            try:
                await asyncio.wait([passing, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (passing, leaving):
                    task.cancel()
                await asyncio.gather(passing, leaving, return_exceptions=True)
        if not passing.cancelled() and (problem := passing.exception()) is not None:
            raise problem

    async def _pass_on(self, send: Send) -> None:
        try:
            async with asyncio.timeout(self._response_timeout_s):
                answer = await self._ask()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamUnavailable(
                f"the service behind {self._path} does not answer", retry_after_s=1
            ) from error
        try:
            await self._copy(answer, send)
        finally:
            answer.close()

    @staticmethod
    async def _copy(answer: aiohttp.ClientResponse, send: Send) -> None:
        headers = [
            (name.encode(), value.encode("latin-1"))
            for name in PASSED_BACK
            if (value := answer.headers.get(name)) is not None
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        try:
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except (aiohttp.ClientError, OSError):
            # The upstream connection failed: ending the response without its last chunk tells the
            # caller.
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
