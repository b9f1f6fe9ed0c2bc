"""Passes a request on and its answer back, byte by byte as they come; the caller's leaving closes the call behind at once."""

import asyncio
from typing import Final

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dialog_telemetry import metrics
from gateway.errors import ServiceAway
from service_runtime.service_pool import ServicePool

PASSED_ON: Final = ("content-type", "accept", "last-event-id", "traceparent")
PASSED_BACK: Final = ("content-type", "retry-after", "cache-control", "x-accel-buffering")


class HttpProxy:
    """Calls to one service."""

    def __init__(self, url: str) -> None:
        self._pool = ServicePool(url)

    async def open(self) -> None:
        """Begin to keep connections."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close them."""
        await self._pool.aclose()

    async def ready(self) -> bool:
        """Whether the service says so; also warms a connection."""
        return await self._pool.ready()

    async def forward(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Response:
        """The service's answer as a response that streams. Raises ServiceAway."""
        passed = {name: value for name, value in headers.items() if name in PASSED_ON}
        try:
            answer = await self._pool.request(method, path, body=body, headers=passed)
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceAway(f"the service behind {path} does not answer", retry_after_s=1) from error
        return ProxiedResponse(answer)


class ProxiedResponse(Response):
    """An answer on its way back."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        super().__init__(status_code=answer.status)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Copy until the answer ends or the caller leaves."""
        headers = [
            (name.encode(), value.encode("latin-1"))
            for name in PASSED_BACK
            if (value := self._answer.headers.get(name)) is not None
        ]
        copying = asyncio.create_task(self._copy(send, headers))
        leaving = asyncio.create_task(_left(receive))
        with metrics.PROXIED.labels(kind="http").track_inprogress():
            try:
                await asyncio.wait([copying, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._answer.close()
                for task in (copying, leaving):
                    task.cancel()
                await asyncio.gather(copying, leaving, return_exceptions=True)

    async def _copy(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": self._answer.status, "headers": headers})
        try:
            async for data in self._answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except (aiohttp.ClientError, OSError):
            # The stream behind broke: ending the response without its last chunk tells the caller so.
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
