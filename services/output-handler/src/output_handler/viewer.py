"""One viewer's connection: its dialect, its bounded queue, its writer. A slow viewer hurts only itself."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_contracts.viewer import CLOSE_TOO_SLOW, SUBPROTOCOL, SUBPROTOCOL_BINARY, ViewerError
from dialog_telemetry import metrics
from output_handler.turn_view import Sound

log = structlog.get_logger("viewer")

FRAMES_MAX: Final = 1_000
CLOSE_WITHIN_S: Final = 1.0
"""A viewer that takes nothing does not take the close frame either."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in a viewer's queue; `audio_ms` is 0 for everything that is not sound. A callable is a mark, called in its turn."""

    data: str | bytes | Callable[[], None]
    audio_ms: int = 0


class Viewer:
    """A connection in dialect `vtuber.v2` or `vtuber.v2.bin`. `offer…` never wait; `write` runs as long as the connection."""

    def __init__(
        self, socket: WebSocket, session_id: str, *, binary: bool, queue_ms: int, stuck_s: float
    ) -> None:
        self.session_id = session_id
        self.binary = binary
        self.dialect = SUBPROTOCOL_BINARY if binary else SUBPROTOCOL
        self._socket, self._queue_ms, self._stuck_s = socket, queue_ms, stuck_s
        self._queue: deque[Frame] = deque()
        self._audio_ms = 0
        self._captions_only = False
        self._sending_since: float | None = None
        self._news = asyncio.Event()
        self._close_code: int | None = None
        self._writer: asyncio.Task[None] | None = None

    def offer(self, data: str) -> None:
        """A frame that is never dropped."""
        if len(self._queue) >= FRAMES_MAX or self._stuck():
            self._give_up()
            return
        self._append(Frame(data))

    def offer_sound(self, sound: Sound) -> None:
        """A chunk; dropped when too much waits already."""
        if self._captions_only:
            metrics.VIEWER_DROPPED_CHUNKS.inc()
            if self._stuck():
                self._give_up()
            return
        if self._audio_ms + sound.duration_ms > self._queue_ms:
            self._drop_sound()
            return
        data = sound.binary if self.binary and sound.binary is not None else sound.json
        self._audio_ms += sound.duration_ms
        self._append(Frame(data, sound.duration_ms))

    def offer_mark(self, sent: Callable[[], None]) -> None:
        """`sent` is called once the network has taken all that was offered before."""
        self._append(Frame(sent))

    def new_turn(self) -> None:
        """A slow viewer gets another chance with each turn, if it has caught up."""
        if not self._queue:
            self._captions_only = False

    def flush(self) -> None:
        """Throw away sound that waits; STOP passes everything."""
        self._queue = deque(frame for frame in self._queue if frame.audio_ms == 0)
        self._audio_ms = 0

    async def write(self) -> None:
        """Send what is offered until the connection ends or is given up."""
        self._writer = asyncio.current_task()
        try:
            while self._close_code is None:
                while self._queue:
                    frame = self._queue.popleft()
                    self._audio_ms -= frame.audio_ms
                    self._sending_since = time.monotonic()
                    if isinstance(frame.data, bytes):
                        await self._socket.send_bytes(frame.data)
                    elif isinstance(frame.data, str):
                        await self._socket.send_text(frame.data)
                    else:
                        frame.data()
                    self._sending_since = None
                if self._close_code is None:
                    self._news.clear()
                    await self._news.wait()
        except asyncio.CancelledError:
            # Either our owner ends us, or `_give_up` took us out of a send that would never have returned.
            if self._close_code is None or self._writer is None or self._writer.uncancel() > 0:
                raise
        except (WebSocketDisconnect, RuntimeError):
            return  # The reader sees the same end.
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._socket.close(self._close_code or CLOSE_TOO_SLOW, "too slow")

    @property
    def given_up(self) -> bool:
        """Whether this connection is to be closed from our side."""
        return self._close_code is not None

    def _append(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._news.set()

    def _drop_sound(self) -> None:
        dropped = sum(1 for frame in self._queue if frame.audio_ms)
        metrics.VIEWER_DROPPED_CHUNKS.inc(dropped + 1)
        self.flush()
        self._captions_only = True
        error = ViewerError(
            code="too_slow",
            message=f"more than {self._queue_ms} ms of audio waited: captions only until the next turn",
        )
        self.offer(error.to_json())
        log.info("viewer_captions_only", session=self.session_id, dropped=dropped + 1)

    def _stuck(self) -> bool:
        return (
            self._sending_since is not None
            and time.monotonic() - self._sending_since > self._stuck_s
        )

    def _give_up(self) -> None:
        if self._close_code is None:
            self._close_code = CLOSE_TOO_SLOW
            metrics.VIEWERS_CLOSED.labels(reason="too_slow").inc()
            log.info("viewer_given_up", session=self.session_id)
            if self._sending_since is not None and self._writer is not None:
                self._writer.cancel()
        self._queue.clear()
        self._audio_ms = 0
        self._news.set()
