"""The WebSocket to one output-handler, which carries all its sessions.

The engine connects and reconnects. An output-handler subscribes to the sessions of its viewers, and
gets their messages only while it is connected. Nothing is kept for a closed socket: after a
reconnect the output-handler subscribes again and gets the running turn's START and its text so far.

A slow output-handler must not fill the engine's memory, so audio chunks are dropped above a limit.
A heartbeat every 0.25 s without other messages lets the output-handler detect a stalled engine.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from dialog_contracts import limits
from dialog_contracts.ingest import TO_ENGINE, Heartbeat, PlaybackControl, Played, Stop, Subscribe
from dialog_telemetry import metrics
from service_runtime.aio.send_queue import SendQueue

log = structlog.get_logger("ingest")

MAX_QUEUE_BYTES: Final = 8 * 1024 * 1024
"""Queued bytes for one output-handler above which chunks are dropped and counted.

About two minutes of one session's speech.
"""

CONNECT_TIMEOUT_S: Final = 2.0
"""Seconds without a connection after which this is logged, since all processes start together."""

HEARTBEAT_INTERVAL_S: Final = 0.25
_HEARTBEAT: Final = Heartbeat().to_json()


@dataclass(frozen=True, slots=True)
class OutputEventHandlers:
    """Callbacks for messages of an output-handler.

    They run on the event loop and must not block.
    """

    on_stop: Callable[[Stop, "OutputConnection"], None]
    on_pause: Callable[[PlaybackControl, "OutputConnection"], None]
    on_played: Callable[[Played, "OutputConnection"], None]
    on_subscribe: Callable[[str, "OutputConnection"], None]


class OutputConnection:
    """Connection to one output-handler. `sessions` are those with a viewer there."""

    def __init__(self, url: str, hooks: OutputEventHandlers) -> None:
        self.url = url
        self.sessions: set[str] = set()
        self.connected = False
        self._handlers = hooks
        self._queue: SendQueue[str] = SendQueue(MAX_QUEUE_BYTES)
        self._missed_since: float | None = None
        self._reported = False

    def send(self, frame: str, *, droppable: bool = False) -> None:
        """Queue a message; it is dropped and counted if the socket is closed.

        A `droppable` message is also dropped while more than MAX_QUEUE_BYTES are queued.
        """
        if not self.connected:
            metrics.INGEST_DROPPED.labels(reason="not_connected").inc()
            return
        if droppable and not self._queue.fits(len(frame)):
            metrics.INGEST_DROPPED.labels(reason="queue_full").inc()
            return
        self._queue.put(frame, len(frame))

    async def run(self) -> None:
        """Connect, serve until the socket closes, and return; the caller calls it again."""
        try:
            async with connect(
                self.url,
                compression=None,
                max_size=limits.MAX_JSON_FRAME_BYTES,
                open_timeout=3,
                # An output-handler that hangs must not delay the engine's shutdown.
                close_timeout=0.5,
                ping_interval=10,
                ping_timeout=10,
                proxy=None,
            ) as socket:
                self.connected = True
                self._missed_since, self._reported = None, False
                metrics.INGEST_LINKS.inc()
                log.info("output_connected", url=self.url)
                writer = asyncio.create_task(self._write(socket), name="ingest-write")
                try:
                    async for message in socket:
                        self._handle_frame(message)
                finally:
                    self._reset()
                    metrics.INGEST_LINKS.dec()
                    writer.cancel()
                    await asyncio.gather(writer, return_exceptions=True)
        except ConnectionClosed as error:
            log.info("output_not_connected", url=self.url, reason=type(error).__name__)
        except (OSError, WebSocketException) as error:
            self._report_not_connected(type(error).__name__)

    def _report_not_connected(self, reason: str) -> None:
        """Log once that no connection is possible, after CONNECT_TIMEOUT_S."""
        now = asyncio.get_running_loop().time()
        if self._missed_since is None:
            self._missed_since = now
        if not self._reported and now - self._missed_since >= CONNECT_TIMEOUT_S:
            self._reported = True
            log.info("output_not_connected", url=self.url, reason=reason)

    def _reset(self) -> None:
        self.connected = False
        self.sessions.clear()
        self._queue.clear()

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                while self._queue:
                    await socket.send(self._queue.take())
                frame: str | None = _HEARTBEAT
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
                        frame = await self._queue.get()
                if frame is not None:
                    await socket.send(frame)
        except ConnectionClosed:
            return  # The reader gets the same exception and logs it.

    def _handle_frame(self, message: str | bytes) -> None:
        try:
            frame = TO_ENGINE.validate_json(message)
        except ValidationError as error:
            metrics.REQUESTS_REJECTED.labels(code="bad_back_frame").inc()
            log.warning("bad_control_frame", url=self.url, error=str(error)[:200])
            return
        if isinstance(frame, Stop):
            self._handlers.on_stop(frame, self)
        elif isinstance(frame, PlaybackControl):
            self._handlers.on_pause(frame, self)
        elif isinstance(frame, Played):
            self._handlers.on_played(frame, self)
        elif isinstance(frame, Subscribe) and frame.action == "SUBSCRIBE":
            self.sessions.add(frame.session_id)
            self._handlers.on_subscribe(frame.session_id, self)
        else:
            self.sessions.discard(frame.session_id)
