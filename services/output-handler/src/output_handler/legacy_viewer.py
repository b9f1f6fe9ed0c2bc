"""A viewer of the older dialect, without a subprotocol: nothing until a turn is over, then its text and one WAV file in slices."""

from typing import Final

from starlette.websockets import WebSocket

from dialog_contracts import legacy_output
from output_handler.legacy_answer import LegacyAnswer
from output_handler.turn_view import Sound
from output_handler.viewer import Frame, Viewer

ANSWERS_MAX: Final = 4
"""Answers that may wait for such a viewer. One that lags so far behind hears of a conversation that is long over."""


class LegacyViewer(Viewer):
    """What belongs together is queued together; whoever takes none of it for too long, or too little, is given up."""

    def __init__(
        self, socket: WebSocket, session_id: str, *, queue_ms: int, stuck_s: float
    ) -> None:
        super().__init__(socket, session_id, binary=False, queue_ms=queue_ms, stuck_s=stuck_s)
        self.dialect = "legacy"
        self._waiting = 0

    def offer(self, data: str) -> None:
        """Events of the newer dialects do not exist here."""

    def offer_sound(self, sound: Sound) -> None:
        """Nor do chunks: they are collected for all of these viewers together."""

    def flush(self) -> None:
        """A file on its way is finished: its slices were announced."""

    def answer(self, answer: LegacyAnswer) -> None:
        """A text and its audio file, all at once."""
        self._put(answer.frames)

    def error(self, message: str) -> None:
        """An error in the old form."""
        self._put((legacy_output.LegacyError(error=message).to_json(),))

    def _put(self, frames: tuple[str | bytes, ...]) -> None:
        if self._waiting >= ANSWERS_MAX or self._stuck():
            self._give_up()
        if self.given_up:
            return
        self._waiting += 1
        for frame in frames:
            self._append(Frame(frame))
        self.offer_mark(self._taken)

    def _taken(self) -> None:
        self._waiting -= 1
