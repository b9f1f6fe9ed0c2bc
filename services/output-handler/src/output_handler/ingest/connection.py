"""The back direction of one engine's socket: a queue and its writer."""

import asyncio
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_telemetry import metrics
from service_runtime.aio.send_queue import SendQueue

MAX_QUEUED_FRAMES: Final = 20_000
HEARTBEAT_TIMEOUT_S: Final = 0.8
"""An engine says something every quarter of a second; silent for so long it is taken for dead, or cut off."""

CHECK_INTERVAL_S: Final = 0.1


class EngineConnection:
    """`send` never waits; frames beyond the bound are dropped and counted (an engine that reads nothing is about to be cut off)."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: SendQueue[str] = SendQueue(MAX_QUEUED_FRAMES)
        self.supports_heartbeat = False
        """It tells that it is there when it has nothing else to say; an older engine does not."""

        self._last_frame_at = 0.0

    def touch(self) -> None:
        """A frame came."""
        self._last_frame_at = asyncio.get_running_loop().time()

    def extend_deadline(self, seconds: float) -> None:
        """Nobody listened for so long: this process stood still itself, and what the engine said meanwhile is still to be read."""
        self._last_frame_at = min(self._last_frame_at + seconds, asyncio.get_running_loop().time())

    @property
    def timed_out(self) -> bool:
        """Nothing came for `SILENT_S`."""
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
