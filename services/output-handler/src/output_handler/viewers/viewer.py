"""One viewer's connection: its dialect, its bounded queue, its writer.

A slow viewer must not delay others. Its queue is bounded in ms of audio: with more, its audio is
dropped and it gets captions only until the next turn. With a thousand frames, or a send that does
not return in time, the connection is closed with 1013.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_contracts.viewer import CLOSE_TOO_SLOW, SUBPROTOCOL, SUBPROTOCOL_BINARY, ViewerError
from dialog_telemetry import metrics
from output_handler.playback.turn import AudioFrame
from service_runtime.aio.send_queue import SendQueue

log = structlog.get_logger("viewer")

MAX_QUEUED_FRAMES: Final = 1_000
CLOSE_TIMEOUT_S: Final = 1.0
"""Longest wait in seconds for the close frame."""


@dataclass(frozen=True, slots=True)
class QueuedFrame:
    """One frame of the queue; `audio_ms` is 0 for everything but audio.

    A callable is called in its place.
    """

    data: str | bytes | Callable[[], None]
    audio_ms: int = 0


class Viewer:
    """A connection in dialect `vtuber.v2` or `vtuber.v2.bin`.

    `send…` never wait; `write` runs as long as the connection.
    """

    def __init__(
        self, socket: WebSocket, session_id: str, *, binary: bool, queue_ms: int, stuck_s: float
    ) -> None:
        self.session_id = session_id
        self.binary = binary
        self.dialect = SUBPROTOCOL_BINARY if binary else SUBPROTOCOL
        self._socket, self._queue_ms, self._send_timeout_s = socket, queue_ms, stuck_s
        self._queue: SendQueue[QueuedFrame] = SendQueue(queue_ms)
        self._captions_only = False
        self._sending_since: float | None = None
        self._close_code: int | None = None
        self._writer: asyncio.Task[None] | None = None

    def send(self, data: str) -> None:
        """Queue a frame that is never dropped."""
        if len(self._queue) >= MAX_QUEUED_FRAMES or self._send_stalled():
            self._disconnect()
            return
        self._append(QueuedFrame(data))

    def send_audio(self, sound: AudioFrame) -> None:
        """Queue a chunk; it is dropped when too much audio waits."""
        if self._captions_only:
            metrics.VIEWER_DROPPED_CHUNKS.inc()
            if self._send_stalled():
                self._disconnect()
            return
        if not self._queue.fits(sound.duration_ms):
            self._drop_audio()
            return
        data = sound.binary if self.binary and sound.binary is not None else sound.json
        self._append(QueuedFrame(data, sound.duration_ms))

    def on_sent(self, sent: Callable[[], None]) -> None:
        """Call `sent` once the network has taken everything queued before."""
        self._append(QueuedFrame(sent))

    def new_turn(self) -> None:
        """Send audio again to a viewer that has caught up."""
        if not self._queue:
            self._captions_only = False

    def flush(self) -> None:
        """Drop the audio that waits."""
        self._queue.drop(_is_audio)

    async def write(self) -> None:
        """Send what is queued until the connection ends or is closed from our side."""
        self._writer = asyncio.current_task()
        try:
            while (frame := await self._queue.get()) is not None:
                self._sending_since = time.monotonic()
                if isinstance(frame.data, bytes):
                    await self._socket.send_bytes(frame.data)
                elif isinstance(frame.data, str):
                    await self._socket.send_text(frame.data)
                else:
                    frame.data()
                self._sending_since = None
        except asyncio.CancelledError:
            # Either our owner cancels us, or `_disconnect` does, during a send that does not
            # return.
            if self._close_code is None or self._writer is None or self._writer.uncancel() > 0:
                raise
        except (WebSocketDisconnect, RuntimeError):
            return  # The reader sees the same end.
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(self._close_code or CLOSE_TOO_SLOW, "too slow")

    @property
    def disconnected(self) -> bool:
        """Whether this connection is to be closed from our side."""
        return self._close_code is not None

    def _append(self, frame: QueuedFrame) -> None:
        self._queue.put(frame, frame.audio_ms)

    def _drop_audio(self) -> None:
        waiting = len(self._queue)
        self.flush()
        dropped = waiting - len(self._queue)
        metrics.VIEWER_DROPPED_CHUNKS.inc(dropped + 1)
        self._captions_only = True
        error = ViewerError(
            code="too_slow",
            message=f"more than {self._queue_ms} ms of audio waited: captions only until the next turn",
        )
        self.send(error.to_json())
        log.info("viewer_captions_only", session=self.session_id, dropped=dropped + 1)

    def _send_stalled(self) -> bool:
        return (
            self._sending_since is not None
            and time.monotonic() - self._sending_since > self._send_timeout_s
        )

    def _disconnect(self) -> None:
        if self._close_code is None:
            self._close_code = CLOSE_TOO_SLOW
            metrics.VIEWERS_CLOSED.labels(reason="too_slow").inc()
            log.info("viewer_disconnected", session=self.session_id)
            if self._sending_since is not None and self._writer is not None:
                self._writer.cancel()
        self._queue.clear()
        self._queue.end()


def _is_audio(frame: QueuedFrame) -> bool:
    return frame.audio_ms > 0
