"""Passes a WebSocket on, frame by frame as they come, in both directions, with close codes."""

import asyncio
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from dialog_contracts import limits
from dialog_telemetry import metrics

log = structlog.get_logger("socket_proxy")

SENDABLE: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
CLOSE_AWAY: Final = 1013


class SocketProxy:
    """Sockets to one service."""

    def __init__(self, url: str) -> None:
        self._url = "ws" + url.rstrip("/").removeprefix("http")

    async def forward(self, client: WebSocket, path: str) -> None:
        """Serve one socket until either side ends it."""
        offered = [Subprotocol(name) for name in client.scope.get("subprotocols", [])]
        headers = {"traceparent": client.headers["traceparent"]} if "traceparent" in client.headers else None
        try:
            async with connect(
                self._url + path,
                subprotocols=offered or None,
                additional_headers=headers,
                compression=None,
                max_size=limits.BINARY_FRAME_BYTES,
                max_queue=16,
                open_timeout=3,
                ping_interval=None,
                close_timeout=1,
                proxy=None,
            ) as service:
                await client.accept(subprotocol=service.subprotocol)
                with metrics.PROXIED.labels(kind="websocket").track_inprogress():
                    await self._both(client, service)
        except (OSError, WebSocketException, TimeoutError) as error:
            log.warning("service_away", path=path.partition("?")[0], reason=type(error).__name__)
            if client.application_state is WebSocketState.CONNECTING:
                # A close code only exists after the handshake, and a browser wants one of the dialects it offered.
                await client.accept(subprotocol=offered[0] if offered else None)
            await self._close(client, CLOSE_AWAY, "the service behind does not answer")

    async def _both(self, client: WebSocket, service: ClientConnection) -> None:
        up = asyncio.create_task(_up(client, service))
        down = asyncio.create_task(_down(client, service))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        if service.close_code is not None:
            await self._close(client, service.close_code, service.close_reason or "")

    @staticmethod
    async def _close(client: WebSocket, code: int, reason: str) -> None:
        try:
            await client.close(code if code in SENDABLE or 3000 <= code <= 4999 else 1011, reason)
        except (RuntimeError, WebSocketDisconnect):
            return  # The client closed first.


async def _up(client: WebSocket, service: ClientConnection) -> None:
    try:
        while (message := await client.receive())["type"] == "websocket.receive":
            text = message.get("text")
            await service.send(text if text is not None else message["bytes"])
        code = message.get("code", 1000)
        await service.close(code if code in SENDABLE or 3000 <= code <= 4999 else 1000)
    except ConnectionClosed:
        return


async def _down(client: WebSocket, service: ClientConnection) -> None:
    try:
        async for message in service:
            if isinstance(message, str):
                await client.send_text(message)
            else:
                await client.send_bytes(message)
    except (ConnectionClosed, WebSocketDisconnect, RuntimeError):
        return
