"""The long-lived socket to one output-handler: all sessions on it."""

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
"""What may wait for one output-handler (about two minutes of one session's speech); beyond it chunks are dropped and counted."""

CONNECT_TIMEOUT_S: Final = 2.0
"""An output-handler that is not there for so long is worth a line."""

HEARTBEAT_INTERVAL_S: Final = 0.25
_HEARTBEAT: Final = Heartbeat().to_json()


@dataclass(frozen=True, slots=True)
class OutputEventHandlers:
    """What comes back from an output-handler. Called on the event loop; must not wait."""

    on_stop: Callable[[Stop, "OutputConnection"], None]
    on_pause: Callable[[PlaybackControl, "OutputConnection"], None]
    on_played: Callable[[Played, "OutputConnection"], None]
    on_subscribe: Callable[[str, "OutputConnection"], None]


class OutputConnection:
    """One output-handler."""

    def __init__(self, url: str, hooks: OutputEventHandlers) -> None:
        self.url = url
        self.sessions: set[str] = set()
        self.connected = False
        self._handlers = hooks
        self._queue: SendQueue[str] = SendQueue(MAX_QUEUE_BYTES)
        self._missed_since: float | None = None
        self._heartbeat_sent = False

    def send(self, frame: str, *, droppable: bool = False) -> None:
        """Queue a frame. Frames for a closed socket are dropped: after a reconnect the session is told anew from its present state."""
        if not self.connected:
            metrics.INGEST_DROPPED.labels(reason="not_connected").inc()
            return
        if droppable and not self._queue.fits(len(frame)):
            metrics.INGEST_DROPPED.labels(reason="queue_full").inc()
            return
        self._queue.put(frame, len(frame))

    async def run(self) -> None:
        """Connect, serve until the socket ends, and return; the caller repeats."""
        try:
            async with connect(
                self.url,
                compression=None,
                max_size=limits.MAX_JSON_FRAME_BYTES,
                open_timeout=3,
                # An output-handler that hangs must not hold up our own end.
                close_timeout=0.5,
                ping_interval=10,
                ping_timeout=10,
                proxy=None,
            ) as socket:
                self.connected = True
                self._missed_since, self._heartbeat_sent = None, False
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
            self._send_heartbeats(type(error).__name__)

    def _send_heartbeats(self, reason: str) -> None:
        """Once, and not of the moment in which all processes start."""
        now = asyncio.get_running_loop().time()
        if self._missed_since is None:
            self._missed_since = now
        if not self._heartbeat_sent and now - self._missed_since >= CONNECT_TIMEOUT_S:
            self._heartbeat_sent = True
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
            return  # The reader sees the same end and reports it.

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
