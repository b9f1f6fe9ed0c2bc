"""uvicorn's HTTP/1.1 protocol with bounds on size, time and waiting connections.

uvicorn's parser (httptools) buffers incomplete lines without limits, and uvicorn has no timeouts
for heads and bodies. A few slow or endless requests could therefore use up memory and connections
of a process.

BoundedHttp counts the bytes of a message as they arrive, separately from those of its body, which
the application counts (`body_limit`). A timer runs from the connection, or the first byte of a
later request, to the end of the head, and from there to the end of the body. Violations raise
MessageRefused inside the parser's callbacks; `data_received` answers it and ends the connection.

A connection without a whole request is registered with Connections (`connections.py`), which may
close it in favour of a new one through `give_way`. The limits are in `bounds.py`; WebSockets are
bounded in `bounded_socket.py`.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dialog_contracts.http import ErrorBody
from dialog_telemetry import metrics
from service_runtime.http import bounds
from service_runtime.http.connections import Connections

log = structlog.get_logger("http")


class MessageRefused(Exception):
    """Raised within a callback of the parser, which stops there; carries the response."""

    def __init__(self, status: int, code: str, message: str, limit: int) -> None:
        super().__init__(message)
        self.status, self.body = status, ErrorBody(code=code, message=message, limit=limit)


URL_TOO_LONG: Final = MessageRefused(
    414, "url_too_long", f"a URL has at most {bounds.URL_BYTES} bytes", bounds.URL_BYTES
)
HEAD_TOO_LONG: Final = MessageRefused(
    431, "head_too_large", f"a head has at most {bounds.HEAD_BYTES} bytes", bounds.HEAD_BYTES
)
LINE_TOO_LONG: Final = MessageRefused(
    431, "head_too_large", f"a header has at most {bounds.LINE_BYTES} bytes", bounds.LINE_BYTES
)
TOO_MANY_HEADERS: Final = MessageRefused(
    431, "head_too_large", f"a head has at most {bounds.HEADERS} headers", bounds.HEADERS
)
TOO_MUCH_FRAMING: Final = MessageRefused(
    413,
    "too_large",
    f"chunk sizes and trailers have at most {bounds.FRAMING_BYTES} bytes",
    bounds.FRAMING_BYTES,
)
TOO_MANY_REQUESTS: Final = MessageRefused(
    429,
    "too_many",
    f"at most {bounds.PIPELINED} requests of a connection may wait for their answers",
    bounds.PIPELINED,
)
HEAD_TOO_LATE: Final = MessageRefused(
    408,
    "request_timeout",
    f"the head was not complete within {bounds.HEAD_TIMEOUT_S:.0f} s",
    round(bounds.HEAD_TIMEOUT_S),
)
BODY_TOO_LATE: Final = MessageRefused(
    408,
    "request_timeout",
    f"the body was not complete within {bounds.BODY_TIMEOUT_S:.0f} s",
    round(bounds.BODY_TIMEOUT_S),
)
HANDSHAKE_WITH_BODY: Final = MessageRefused(
    400, "bad_request", "a WebSocket handshake is a GET without a body", 0
)
HANDSHAKE_TOO_EARLY: Final = MessageRefused(
    400, "bad_request", "a WebSocket handshake waits for the answers to the requests before it", 0
)
REPLACED: Final = MessageRefused(
    408,
    "request_timeout",
    f"more than {bounds.MAX_WAITING_PER_ADDRESS} connections of this address have sent no whole request; this was the oldest",
    bounds.MAX_WAITING_PER_ADDRESS,
)


_FRAMING: Final = (b"content-length", b"transfer-encoding")


class BoundedHttp(HttpToolsProtocol):
    """One connection. `waiting` are the process's connections that wait for a request."""

    def __init__(self, *args: Any, waiting: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting = waiting
        self._begun = self._in_head = self._complete = self._refused = self._continuing = False
        self._bytes = self._body_bytes = self._drained_bytes = self._pieces = 0
        self._clock: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait(bounds.HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and tell the application that the client has disconnected."""
        self._stop_clock()
        self._waiting.ended(self)
        super().connection_lost(exc)
        # uvicorn notifies only the newest request, which waits behind the one that is being
        # answered.
        self._notify_disconnect()

    def data_received(self, data: bytes) -> None:
        """Process received bytes.

        Raises nothing: a message that is malformed or too large is answered, and its connection
        ends.
        """
        if self._refused:
            self._drained_bytes += len(data)
            if self._drained_bytes > bounds.DRAIN_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self._pieces += 1
        try:
            while (rest := self._parse(data)) is not None:
                data = rest
            self._check_size()
        except MessageRefused as refusal:
            self._refuse(refusal)
        except httptools.HttpParserError as error:
            self._refuse(
                error.__context__
                if isinstance(error.__context__, MessageRefused)
                else _unreadable(error)
            )

    def on_message_begin(self) -> None:
        """Begin to count a request, and start the timer for its head."""
        if self._continuing:
            return
        super().on_message_begin()
        self._begun = self._in_head = True
        self._complete = False
        self._body_bytes = 0
        self._wait(bounds.HEAD_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL; raises MessageRefused when it is too long."""
        if self._continuing:
            return
        super().on_url(url)
        if len(self.url) > bounds.URL_BYTES:
            raise URL_TOO_LONG

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers of a chunked body are ignored.

        Raises MessageRefused when a header is too long or there are too many.
        """
        if not self._in_head or self._continuing:
            return
        super().on_header(name, value)
        if len(name) + len(value) > bounds.LINE_BYTES:
            raise LINE_TOO_LONG
        if len(self.headers) > bounds.HEADERS:
            raise TOO_MANY_HEADERS

    def on_headers_complete(self) -> None:
        """Check the head, start the timer for the body, and call the application."""
        if self._continuing:
            return
        if (
            len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            > bounds.HEAD_BYTES
        ):
            raise HEAD_TOO_LONG
        if len(self.pipeline) >= bounds.PIPELINED:
            raise TOO_MANY_REQUESTS
        if self._is_handshake():
            self._check_handshake()
        self._in_head = False
        self._bytes = 0
        self._wait(bounds.BODY_TIMEOUT_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Mark the request as complete.

        A request that asks for another protocol than WebSocket is not complete here, since its body
        may still follow (`_resume`).
        """
        if self.parser.should_upgrade() and not self._should_upgrade():
            return
        self._complete = True
        self._bytes = 0
        self._stop_clock()
        self._waiting.start_request(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or close when the current one was not read completely."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if not self._complete:
            # Answered before its body was complete: the rest is read and discarded, since closing
            # with unread bytes would reset the connection.
            self._close()
        elif not self.pipeline:
            self._waiting.start_waiting(self, self.client[0] if self.client else "", kept=True)

    def give_way(self) -> None:
        """Close in favour of another connection.

        Nothing happens if a request or a refusal completes meanwhile: data may have arrived and not
        been read yet.
        """
        came = self._pieces

        def gone() -> None:
            if self._pieces != came and (self._complete or self._refused):
                return
            if self._begun and not self._complete:
                self._refuse(REPLACED)
            else:
                self.transport.close()

        # Two timers: after the process was stalled, timers fire first, and sockets are read between
        # the two.
        self.loop.call_later(
            bounds.READ_TIMEOUT_S, lambda: self.loop.call_later(bounds.READ_TIMEOUT_S, gone)
        )

    def _wait(self, seconds: float) -> None:
        self._stop_clock()
        self._waiting.start_request(self)
        self._clock = self.loop.call_later(seconds, self._too_late)
        self._waiting.start_waiting(self, self.client[0] if self.client else "")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_late(self) -> None:
        if not self._begun:
            # Nothing was received, so there is no request to answer.
            self.transport.close()
        else:
            self._refuse(HEAD_TOO_LATE if self._in_head else BODY_TOO_LATE)

    def _check_size(self) -> None:
        """Check what the parser buffers of a message that is not complete."""
        if self._in_head and self._bytes > bounds.HEAD_BYTES:
            raise HEAD_TOO_LONG if self.headers else URL_TOO_LONG
        if (
            self._begun
            and not self._in_head
            and not self._complete
            and self._bytes - self._body_bytes > bounds.FRAMING_BYTES
        ):
            raise TOO_MUCH_FRAMING

    def _parse(self, data: bytes) -> bytes | None:
        """Parse data; returns the part that must be parsed again, or None.

        The parser stops where it expects another protocol to begin.
        """
        self._bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            if self._should_upgrade():
                self._upgrade()
            else:
                self._resume()
                return data[stopped.args[0] :]
        return None

    def _resume(self) -> None:
        """Continue a request that offers another protocol than WebSocket as an ordinary request.

        Such an upgrade is only an offer (`h2c` of curl and of Java's client). The parser considers
        the message complete; a second parser reads its body and is given only the framing headers.
        """
        framing = [(name, value) for name, value in self.headers if name in _FRAMING]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in framing)
        self.parser = httptools.HttpRequestParser(self)
        self._continuing = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        finally:
            self._continuing = False

    def _is_handshake(self) -> bool:
        return bool(self.parser.should_upgrade() and self._should_upgrade())

    def _check_handshake(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            raise HANDSHAKE_TOO_EARLY
        if any(name in _FRAMING and value != b"0" for name, value in self.headers):
            raise HANDSHAKE_WITH_BODY

    def _upgrade(self) -> None:
        self._stop_clock()
        self._waiting.ended(self)
        self.handle_websocket_upgrade()

    def _refuse(self, refusal: MessageRefused) -> None:
        """Answer with a refusal, unless another response has started, and end the connection."""
        if self._refused or self.transport.is_closing():
            return
        metrics.REQUESTS_REJECTED.labels(code=refusal.body.code).inc()
        if (left_out := self._waiting.refusals.acquire()) is not None:
            log.info(
                "message_refused", status=refusal.status, code=refusal.body.code, left_out=left_out
            )
        answered = self._answered
        if answered is None or answered.response_complete or not answered.response_started:
            body = json.dumps(refusal.body.to_wire()).encode()
            head = (
                f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            # The application waits for the rest of the body and must learn that none follows.
            self._notify_disconnect()
        self._close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _notify_disconnect(self) -> None:
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def _close(self) -> None:
        self._refused = True
        self._stop_clock()
        self._waiting.ended(self)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(bounds.DRAIN_S, self.transport.close)
        # `close` waits until the peer has read what was sent.
        self.loop.call_later(bounds.CLOSE_TIMEOUT_S, self.transport.abort)


def _unreadable(error: httptools.HttpParserError) -> MessageRefused:
    return MessageRefused(400, "bad_request", f"this is no HTTP/1.1 request: {str(error)[:100]}", 0)
