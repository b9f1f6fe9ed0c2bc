"""A viewer in the legacy dialect.

No subprotocol, and after each turn its text and one WAV file in slices.
"""

from typing import Final

from starlette.websockets import WebSocket

from dialog_contracts import legacy_output
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.playback.turn import AudioFrame
from output_handler.viewers.viewer import QueuedFrame, Viewer

MAX_WAITING_RESPONSES: Final = 4
"""Responses that may wait for such a viewer; with more it is disconnected."""


class LegacyViewer(Viewer):
    """Frames of one response are queued together.

    A viewer that takes too little is disconnected.
    """

    def __init__(
        self, socket: WebSocket, session_id: str, *, queue_ms: int, stuck_s: float
    ) -> None:
        super().__init__(socket, session_id, binary=False, queue_ms=queue_ms, stuck_s=stuck_s)
        self.dialect = "legacy"
        self._waiting = 0

    def send(self, data: str) -> None:
        """Do nothing: this dialect has no events."""

    def send_audio(self, sound: AudioFrame) -> None:
        """Do nothing: chunks are collected for all legacy viewers together."""

    def flush(self) -> None:
        """Do nothing: a file that was announced is sent to its end."""

    def send_response(self, answer: LegacyResponseFrames) -> None:
        """Queue a text and its audio file."""
        self._enqueue(answer.frames)

    def error(self, message: str) -> None:
        """Queue an error."""
        self._enqueue((legacy_output.LegacyError(error=message).to_json(),))

    def _enqueue(self, frames: tuple[str | bytes, ...]) -> None:
        if self._waiting >= MAX_WAITING_RESPONSES or self._send_stalled():
            self._disconnect()
        if self.disconnected:
            return
        self._waiting += 1
        for frame in frames:
            self._append(QueuedFrame(frame))
        self.on_sent(self._on_sent)

    def _on_sent(self) -> None:
        self._waiting -= 1
