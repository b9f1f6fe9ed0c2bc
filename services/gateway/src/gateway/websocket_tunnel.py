"""Joins a client's and a service's WebSocket and copies bytes between them.

Forwarding messages would cost two parsers and two writers per frame. After the handshake the
gateway only needs the sizes and the number of frames, so client and service exchange bytes
directly: frames, pings and close codes are theirs.

ClientProtocol is uvicorn's protocol until the application has decided about the handshake. Then
`join` takes the connection over: data of the client is checked by FrameBoundaryTracker and
FrameBudget and written to the service, data of the service is written to the client. Each side
pauses reading while the other one's write buffer is full.

The gateway writes a close frame of its own only where the service sent none: after a violation,
when the service is lost, and at shutdown. The connection to the service is made in
`socket_proxy.py`.
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
"""Key of the scope's extensions with the client's ClientProtocol."""

MAX_HEAD_BYTES: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


class HandshakeRejected(Exception):
    """The service did not accept the handshake."""


class UpstreamProtocol(asyncio.Protocol):
    """The service's side: first the response to the handshake, then data for the client."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.lost = False
        self._client: ClientProtocol | None = None
        self._early = b""

    def join(self, edge: "ClientProtocol") -> None:
        """Send everything to the client from now on, beginning with the handshake."""
        self._client = edge
        edge.deliver(self.head.result(), self._early)
        if self.lost:
            edge.service_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport; the handshake follows."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Process the response to the handshake, or data for the client."""
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
        """Tell the client, or fail the handshake."""
        self.lost = True
        if self._client is not None:
            self._client.service_lost()
        elif not self.head.done():
            self.head.set_exception(HandshakeRejected("it hung up"))

    def pause_writing(self) -> None:
        """Stop reading from the client, because the service reads too slowly."""
        if self._client is not None and not self._client.transport.is_closing():
            self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue to read from the client."""
        if self._client is not None and not self._client.transport.is_closing():
            self._client.transport.resume_reading()


class ClientProtocol(BoundedSocket):
    """The client's side: uvicorn's protocol until the handshake is decided, then only bytes."""

    _service: UpstreamProtocol | None = None
    _early = b""
    _refused = False

    async def join(self, service: UpstreamProtocol) -> bool:
        """Join the connections and wait until both are closed.

        Returns True when the client exceeded a limit.
        """
        self._over = asyncio.Event()
        self._sent, self._received = FrameBoundaryTracker(), FrameBoundaryTracker()
        self._frames = FrameBudget(self._received)
        self._service = service
        # For uvicorn this socket is closed: it sends no pings and no close frame.
        self.handshake_complete = self.close_sent = True
        if self.transport.is_closing():
            service.transport.close()
            return False
        service.join(self)
        self._forward(self._early, service)
        self._early = b""
        await self._over.wait()
        return self._refused

    def deliver(self, head: bytes, frames: bytes) -> None:
        """Write data of the service to the client."""
        if not self.transport.is_closing():
            self._sent.feed(frames)
            self.transport.write(head + frames)

    def service_lost(self) -> None:
        """Close the connection; without a close frame of the service, with code 1011."""
        if not self._refused:
            self._send_close(CloseCode.INTERNAL_ERROR)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Process data of the client."""
        if self._service is not None:
            self._forward(data, self._service)
        elif self.handshake_initiated and not self.handshake_complete:
            # Data before the response to the handshake, which no client needs to send.
            self._early += data
            if len(self._early) > limits.MAX_JSON_FRAME_BYTES:
                self.transport.abort()
        else:
            super().data_received(data)
            # An invalid handshake has been answered and has no scope.
            if self.handshake_initiated and not self.transport.is_closing():
                self.scope["extensions"][EXTENSION] = cast(dict[object, object], self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the connection to the service."""
        super().connection_lost(exc)
        if self._service is not None:
            self._service.transport.close()
            self._over.set()

    def pause_writing(self) -> None:
        """Stop reading from the service, because the client reads too slowly."""
        if self._service is None:
            super().pause_writing()
        elif not self._service.transport.is_closing():
            self._service.transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue to read from the service."""
        super().resume_writing()
        if self._service is not None and not self._service.transport.is_closing():
            self._service.transport.resume_reading()

    def shutdown(self) -> None:
        """Close the connection with code 1012 (service restart), so that the client reconnects."""
        if self._service is None:
            super().shutdown()
            return
        self._send_close(CloseCode.SERVICE_RESTART)
        self._service.transport.close()
        self.transport.close()

    def _forward(self, data: bytes, service: UpstreamProtocol) -> None:
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
        """Close after a violation, with a reason.

        The client is read for a moment, since a connection that is closed with unread bytes is
        reset and the reason could be lost. A client that reads nothing is disconnected after a few
        seconds.
        """
        self._refused = True
        self._send_close(code, why)
        service.transport.close()
        self.loop.call_later(bounds.DRAIN_S, self.transport.close)
        self.loop.call_later(bounds.CLOSE_TIMEOUT_S, self.transport.abort)

    def _send_close(self, code: CloseCode, why: str = "") -> None:
        """Write a close frame if the service sent none and no frame is incomplete."""
        if self._sent.at_boundary and not self._sent.closed and not self.transport.is_closing():
            self.transport.write(
                Frame(Opcode.CLOSE, Close(code, why).serialize()).serialize(mask=False)
            )
            self._sent.closed = True
