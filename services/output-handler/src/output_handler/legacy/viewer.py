"""A viewer of the older dialect, without a subprotocol: nothing until a turn is over, then its text and one WAV file in slices."""

from typing import Final

from starlette.websockets import WebSocket

from dialog_contracts import legacy_output
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.playback.turn import AudioFrame
from output_handler.viewers.viewer import QueuedFrame, Viewer

MAX_WAITING_RESPONSES: Final = 4
"""Answers that may wait for such a viewer. One that lags so far behind hears of a conversation that is long over."""


class LegacyViewer(Viewer):
    """What belongs together is queued together; whoever takes none of it for too long, or too little, is given up."""

    def __init__(
        self, socket: WebSocket, session_id: str, *, queue_ms: int, stuck_s: float
    ) -> None:
        super().__init__(socket, session_id, binary=False, queue_ms=queue_ms, stuck_s=stuck_s)
        self.dialect = "legacy"
        self._waiting = 0

    def send(self, data: str) -> None:
        """Events of the newer dialects do not exist here."""

    def send_audio(self, sound: AudioFrame) -> None:
        """Nor do chunks: they are collected for all of these viewers together."""

    def flush(self) -> None:
        """A file on its way is finished: its slices were announced."""

    def send_response(self, answer: LegacyResponseFrames) -> None:
        """A text and its audio file, all at once."""
        self._enqueue(answer.frames)

    def error(self, message: str) -> None:
        """An error in the old form."""
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
