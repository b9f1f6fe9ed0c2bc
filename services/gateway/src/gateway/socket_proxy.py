"""Forwards a WebSocket: the handshake by its headers, everything after it as bytes."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_contracts.http import CLIENT_HEADER
from dialog_telemetry import metrics
from gateway.websocket_tunnel import EXTENSION, ClientProtocol, HandshakeRejected, UpstreamProtocol
from service_runtime.http import tcp_options

log = structlog.get_logger("socket_proxy")

CONNECT_TIMEOUT_S: Final = 3.0
CLOSE_UNAVAILABLE: Final = 1013
PASSED_ON: Final = (
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "traceparent",
)
"""Headers of the client that are forwarded.

Its offer of compression is not, since speech does not compress.
"""


class SocketProxy:
    """Forwards sockets to one service."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._netloc, self._folder = parts.netloc, parts.path.rstrip("/")

    async def forward(self, client: WebSocket, path: str, name: str) -> bool:
        """Serve one socket until either side ends it.

        Returns True when the client was disconnected for a violation. `name` is the client for the
        limits of the service.
        """
        edge = client.scope["extensions"][EXTENSION]
        assert isinstance(edge, ClientProtocol)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                service = await self._dial(client, path, name)
        except (OSError, HandshakeRejected) as error:
            log.warning(
                "service_away",
                path=path.partition("?")[0],
                reason=f"{type(error).__name__}: {error}",
            )
            await self._unavailable(client)
            return False
        with metrics.GATEWAY_CONNECTIONS.labels(kind="websocket").track_inprogress():
            return await edge.join(service)

    async def _dial(self, client: WebSocket, path: str, name: str) -> UpstreamProtocol:
        """Connect to the service and return its protocol after the handshake.

        TimeoutError is an OSError.
        """
        _, service = await asyncio.get_running_loop().create_connection(
            UpstreamProtocol, self._host, self._port, ssl=self._tls or None
        )
        tcp_options.limit_receive_buffer(service.transport.get_extra_info("socket"))
        lines = [
            f"GET {self._folder}{path} HTTP/1.1",
            f"Host: {self._netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
        ]
        lines += [
            f"{passed}: {value}" for passed in PASSED_ON for value in client.headers.getlist(passed)
        ]
        if name:
            lines.append(f"{CLIENT_HEADER}: {name}")
        service.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        try:
            await service.head
        except BaseException:
            service.transport.abort()
            raise
        return service

    @staticmethod
    async def _unavailable(client: WebSocket) -> None:
        offered = client.scope["subprotocols"]
        try:
            # A close code requires a handshake, and a browser needs one of the subprotocols that it
            # offered.
            await client.accept(subprotocol=offered[0] if offered else None)
            await client.close(CLOSE_UNAVAILABLE, "the service behind does not answer")
        except (RuntimeError, WebSocketDisconnect):
            return  # The client closed first.
