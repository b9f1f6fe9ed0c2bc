"""Joins two connections: what comes in on one goes out on the other as bytes, unread, until either ends.

A WebSocket through the gateway costs two parsers and two writers a frame when it is passed on as messages. After the handshake nothing in
it concerns the gateway but its size, so client and service talk to each other directly: frames, pings and close codes are theirs.
"""

import asyncio
from typing import Final, cast

from websockets.frames import Close, CloseCode, Frame, Opcode

from dialog_contracts import limits
from dialog_telemetry import metrics
from service_runtime.http import bounds
from service_runtime.http.bounded_socket import BoundedSocket
from service_runtime.http.frame_budget import STEP_BYTES, FrameBudget
from service_runtime.http.frame_tracker import FrameBoundaryTracker

EXTENSION: Final = "vtuber.splice"
"""In the scope's extensions: the client's end of a socket, an `Edge`."""

MAX_HEAD_BYTES: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


class HandshakeRejected(Exception):
    """The service did not take the handshake."""


class UpstreamProtocol(asyncio.Protocol):
    """The service's end: first its answer to the handshake, then whatever it says."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.lost = False
        self._client: ClientProtocol | None = None
        self._early = b""

    def join(self, edge: "ClientProtocol") -> None:
        """From now on everything goes to the client, first its handshake."""
        self._client = edge
        edge.deliver(self.head.result(), self._early)
        if self.lost:
            edge.service_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP has its consent, not yet the handshake."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Its answer, or what it says to the client."""
        if self._client is not None:
            self._client.deliver(b"", data)
            return
        self._early += data
        if self.head.done():
            return
        head, end, rest = self._early.partition(_END_OF_HEAD)
        if end and head.startswith(b"HTTP/1.1 101 "):
            self.head.set_result(head + end)
            self._early = rest
        elif end or len(self._early) > MAX_HEAD_BYTES:
            self.head.set_exception(
                HandshakeRejected(head.partition(b"\r\n")[0][:100].decode("latin-1"))
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes of it."""
        self.lost = True
        if self._client is not None:
            self._client.service_lost()
        elif not self.head.done():
            self.head.set_exception(HandshakeRejected("it hung up"))

    def pause_writing(self) -> None:
        """It reads too slowly: the client waits."""
        if self._client is not None and not self._client.transport.is_closing():
            self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._client is not None and not self._client.transport.is_closing():
            self._client.transport.resume_reading()


class ClientProtocol(BoundedSocket):
    """The client's end: uvicorn's protocol as long as the application decides about the handshake, then only bytes."""

    _service: UpstreamProtocol | None = None
    _early = b""
    _refused = False

    async def join(self, service: UpstreamProtocol) -> bool:
        """Hand the connection over, until both ends are closed; true when the client had sent more than it may."""
        self._over = asyncio.Event()
        self._sent, self._received = FrameBoundaryTracker(), FrameBoundaryTracker()
        self._frames = FrameBudget(self._received)
        self._service = service
        # For uvicorn this socket is over: it pings nobody and closes nothing.
        self.handshake_complete = self.close_sent = True
        if self.transport.is_closing():
            service.transport.close()
            return False
        service.join(self)
        self._on_upstream_head(self._early, service)
        self._early = b""
        await self._over.wait()
        return self._refused

    def deliver(self, head: bytes, frames: bytes) -> None:
        """From the service."""
        if not self.transport.is_closing():
            self._sent.feed(frames)
            self.transport.write(head + frames)

    def service_lost(self) -> None:
        """A service that ended without a word is one that broke down."""
        if not self._refused:
            self._send_close(CloseCode.INTERNAL_ERROR)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """From the client."""
        if self._service is not None:
            self._on_upstream_head(data, self._service)
        elif self.handshake_initiated and not self.handshake_complete:
            # Faster than the answer to its handshake, which no client has to be.
            self._early += data
            if len(self._early) > limits.MAX_JSON_FRAME_BYTES:
                self.transport.abort()
        else:
            super().data_received(data)
            # A handshake that is none was answered, and has no scope.
            if self.handshake_initiated and not self.transport.is_closing():
                self.scope["extensions"][EXTENSION] = cast(dict[object, object], self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        if self._service is not None:
            self._service.transport.close()
            self._over.set()

    def pause_writing(self) -> None:
        """The client reads too slowly: the service waits."""
        if self._service is None:
            super().pause_writing()
        elif not self._service.transport.is_closing():
            self._service.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._service is not None and not self._service.transport.is_closing():
            self._service.transport.resume_reading()

    def shutdown(self) -> None:
        """The gateway ends: the client is told to come back."""
        if self._service is None:
            super().shutdown()
            return
        self._send_close(CloseCode.SERVICE_RESTART)
        self._service.transport.close()
        self.transport.close()

    def _on_upstream_head(self, data: bytes, service: UpstreamProtocol) -> None:
        for begin in range(0, len(data), STEP_BYTES):
            if self._refused or service.transport.is_closing():
                return
            step = data[begin : begin + STEP_BYTES]
            self._received.feed(step)
            if self._received.largest > limits.MAX_BINARY_FRAME_BYTES:
                self._refuse(
                    service,
                    CloseCode.MESSAGE_TOO_BIG,
                    f"a frame has at most {limits.MAX_BINARY_FRAME_BYTES} bytes",
                )
            elif (why := self._frames.exceeded()) is not None:
                metrics.REQUESTS_REJECTED.labels(code="too_many_frames").inc()
                self._refuse(service, CloseCode.POLICY_VIOLATION, why)
            else:
                service.transport.write(step)

    def _refuse(self, service: UpstreamProtocol, code: CloseCode, why: str) -> None:
        """Closed with bytes unread, a connection is reset, and the client might never learn why: it is heard out for a moment; and one that
        reads nothing is not waited for.
        """
        self._refused = True
        self._send_close(code, why)
        service.transport.close()
        self.loop.call_later(bounds.DRAIN_S, self.transport.close)
        self.loop.call_later(bounds.CLOSE_TIMEOUT_S, self.transport.abort)

    def _send_close(self, code: CloseCode, why: str = "") -> None:
        """A close frame of our own, where the service sent none, and not into the middle of a frame."""
        if self._sent.at_boundary and not self._sent.closed and not self.transport.is_closing():
            self.transport.write(
                Frame(Opcode.CLOSE, Close(code, why).serialize()).serialize(mask=False)
            )
            self._sent.closed = True
