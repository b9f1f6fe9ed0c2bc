"""uvicorn's WebSocket protocol with bounds on pings and on fragments of messages.

A client could otherwise make the server queue pongs that the client never reads, or send a message
as an endless number of fragments. Messages themselves are limited by each endpoint.
"""

from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from dialog_telemetry import metrics
from service_runtime.http import bounds
from service_runtime.http.frame_budget import STEP_BYTES, FrameBudget
from service_runtime.http.frame_tracker import FrameBoundaryTracker


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection. Its endpoint limits the number of messages."""

    _pong = b""
    _ended = False

    def data_received(self, data: bytes) -> None:
        """Process received bytes in small steps, and check the frame budget after each.

        One read of a socket may contain thousands of frames.
        """
        if not self.handshake_initiated:
            super().data_received(data)
            self._cursor = FrameBoundaryTracker()
            self._budget = FrameBudget(self._cursor, parts_only=True)
            return
        for begin in range(0, len(data), STEP_BYTES):
            if self._ended or self.transport.is_closing():
                return
            step = data[begin : begin + STEP_BYTES]
            self._cursor.feed(step)
            if (why := self._budget.exceeded()) is not None:
                self._end(why)
            else:
                super().data_received(step)

    def send_receive_event_to_app(self) -> None:
        """Pass a whole message to the application.

        Text that is not UTF-8 closes the connection with code 1007; it is the client's error and is
        not logged as ours.
        """
        if self.curr_msg_data_type == "text" and not _is_text(b"".join(self.frames)):
            self.frames = []
            metrics.REQUESTS_REJECTED.labels(code="bad_utf8").inc()
            self.conn.send_close(CloseCode.INVALID_DATA, "a text message is UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Send a pong, unless the last one has not been sent yet.

        Only the latest ping needs a pong (RFC 6455 §5.5.3).
        """
        self._pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self._send_pong()

    def resume_writing(self) -> None:
        """Send the pending pong when the client reads again."""
        super().resume_writing()
        self._send_pong()

    async def send(self, message: Any) -> None:
        """Send a message of the application.

        A handshake that the application answers with an HTTP response is marked as complete;
        otherwise uvicorn logs it as unanswered.
        """
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get(
            "more_body", False
        ):
            self.handshake_complete = True

    def handle_parser_exception(self) -> None:
        """Close after invalid frames; an invalid handshake is answered with 400."""
        if self.handshake_initiated:
            super().handle_parser_exception()
            return
        metrics.REQUESTS_REJECTED.labels(code="bad_request").inc()
        status = HTTPStatus.BAD_REQUEST
        body = b'{"code":"bad_request","message":"this is no WebSocket handshake"}'
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _send_pong(self) -> None:
        pong, self._pong = self._pong, b""
        if pong and not self.transport.is_closing():
            self.transport.write(pong)

    def _end(self, why: str) -> None:
        """Close with a reason, and read on for a moment so that the client receives it."""
        metrics.REQUESTS_REJECTED.labels(code="too_many_frames").inc()
        self._ended = True
        code = CloseCode.POLICY_VIOLATION
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": why})
        if self.handshake_complete and not self.close_sent:
            self.conn.send_close(code, why)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # With a timer set, uvicorn does not close the connection when the application ends.
        self.close_timer = self.loop.call_later(bounds.DRAIN_S, self.transport.close)
        # `close` waits until the client has read what was sent, which may never happen.
        self.loop.call_later(bounds.CLOSE_TIMEOUT_S, self.transport.abort)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
