"""What an older client asked for and was not there to hear: it sends over one connection, and opens another one to listen."""

from typing import Final

from dialog_contracts.legacy_chain import UPLOAD_ID, TaskResponse
from output_handler.idle_timer import IdleTimer
from output_handler.legacy_answer import LegacyAnswer
from output_handler.legacy_viewer import LegacyViewer
from output_handler.mailroom import HeardMark

NO_ANSWER: Final = "there is no answer to this message"
OWED_S: Final = 30.0
"""As long as a client may take to open its second connection."""


class Owed:
    """At most one answer a session, until it is given or its time is over."""

    def __init__(self) -> None:
        self._answer: tuple[TaskResponse, bytes | None, HeardMark] | None = None
        self._patience = IdleTimer(self.paid)

    def told(
        self, response: TaskResponse, file: bytes | None, heard: HeardMark, *, taken: bool
    ) -> None:
        """An answer, or that there is none, goes to those who are there; `taken`: an older client is among them."""
        if not taken and (response.meta.request_id or "").startswith(UPLOAD_ID):
            self._answer = (response, file, heard)
            self._patience.after(OWED_S)

    def paid(self) -> None:
        """Nothing is owed any more."""
        self._answer = None
        self._patience.cancel()

    def pay(self, viewer: LegacyViewer) -> bool:
        """An older client came: it gets what it asked for; false where nothing is owed."""
        if self._answer is None:
            return False
        response, file, heard = self._answer
        self.paid()
        if response.status == "error":
            viewer.error(response.error or NO_ANSWER)
        else:
            viewer.answer(LegacyAnswer.of(viewer.session_id, response.text, file))
        viewer.offer_mark(heard)
        return True
