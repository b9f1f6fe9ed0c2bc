"""One engine's socket, in the direction to the engine, and the deadline of its heartbeat.

An engine sends at least a heartbeat every 250 ms. A machine that is cut off closes no socket, so a
missing heartbeat is the only sign. This process may have stood still itself: frames of that time are
still unread in the socket, and `extend_deadline` excuses it.
"""

import asyncio
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_telemetry import metrics
from service_runtime.aio.send_queue import SendQueue

MAX_QUEUED_FRAMES: Final = 20_000
HEARTBEAT_TIMEOUT_S: Final = 0.8
"""Seconds without a frame after which an engine counts as lost."""

CHECK_INTERVAL_S: Final = 0.1


class EngineConnection:
    """`send` never waits. Frames beyond the bound are dropped and counted.

    An engine that reads nothing will be disconnected soon.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: SendQueue[str] = SendQueue(MAX_QUEUED_FRAMES)
        self.supports_heartbeat = False
        """Whether the engine has sent a heartbeat; older engines send none."""

        self._last_frame_at = 0.0

    def touch(self) -> None:
        """Note that a frame arrived."""
        self._last_frame_at = asyncio.get_running_loop().time()

    def extend_deadline(self, seconds: float) -> None:
        """Extend the deadline by the time for which this process stood still."""
        self._last_frame_at = min(self._last_frame_at + seconds, asyncio.get_running_loop().time())

    @property
    def timed_out(self) -> bool:
        """Whether no frame arrived for `HEARTBEAT_TIMEOUT_S`."""
        return (
            self.supports_heartbeat
            and asyncio.get_running_loop().time() - self._last_frame_at >= HEARTBEAT_TIMEOUT_S
        )

    def send(self, frame: str) -> None:
        """Queue a frame for the engine."""
        if not self._queue.fits():
            metrics.INGEST_DROPPED.labels(reason="engine_reads_nothing").inc()
            return
        self._queue.put(frame)

    async def write(self) -> None:
        """Send until the socket ends."""
        try:
            while (frame := await self._queue.get()) is not None:
                await self._socket.send_text(frame)
        except (WebSocketDisconnect, RuntimeError):
            return  # The reader sees the same end.
