"""The back direction of one engine's socket: a queue and its writer."""

import asyncio
from collections import deque
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_telemetry import metrics

FRAMES_MAX: Final = 20_000
SILENT_S: Final = 0.8
"""An engine says something every quarter of a second; silent for so long it is taken for dead, or cut off."""

LOOK_EVERY_S: Final = 0.1


class EngineLink:
    """`send` never waits; frames beyond the bound are dropped and counted (an engine that reads nothing is about to be cut off)."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: deque[str] = deque()
        self._news = asyncio.Event()
        self.says_alive = False
        """It tells that it is there when it has nothing else to say; an older engine does not."""

        self._heard_at = 0.0

    def heard(self) -> None:
        """A frame came."""
        self._heard_at = asyncio.get_running_loop().time()

    def excuse(self, seconds: float) -> None:
        """Nobody listened for so long: this process stood still itself, and what the engine said meanwhile is still to be read."""
        self._heard_at = min(self._heard_at + seconds, asyncio.get_running_loop().time())

    @property
    def silent(self) -> bool:
        """Nothing came for `SILENT_S`."""
        return self.says_alive and asyncio.get_running_loop().time() - self._heard_at >= SILENT_S

    def send(self, frame: str) -> None:
        """Queue a frame for the engine."""
        if len(self._queue) >= FRAMES_MAX:
            metrics.INGEST_DROPPED.labels(reason="engine_reads_nothing").inc()
            return
        self._queue.append(frame)
        self._news.set()

    async def write(self) -> None:
        """Send until the socket ends."""
        try:
            while True:
                while self._queue:
                    await self._socket.send_text(self._queue.popleft())
                self._news.clear()
                await self._news.wait()
        except (WebSocketDisconnect, RuntimeError):
            return  # The reader sees the same end.
