"""What an older client asked for and was not there to hear: it sends over one connection, and opens another one to listen."""

from dataclasses import dataclass
from typing import Final

from dialog_contracts.legacy_chain import UPLOAD_ID, TaskResponse
from output_handler.viewer import LegacyViewer

NO_ANSWER: Final = "there is no answer to this message"
OWED_S: Final = 30.0
"""As long as a client may take to open its second connection."""


@dataclass(slots=True)
class Owed:
    """At most one answer a session. Times are ms of the session's clock."""

    _response: TaskResponse | None = None
    _file: bytes | None = None
    _until_ms: float = 0.0

    def told(self, response: TaskResponse, file: bytes | None, *, taken: bool, now_ms: float) -> None:
        """An answer, or that there is none, goes to those who are there; `taken`: an older client is among them."""
        if taken:
            self.paid()
        elif (response.meta.request_id or "").startswith(UPLOAD_ID):
            self._response, self._file, self._until_ms = response, file, now_ms + OWED_S * 1000

    def paid(self) -> None:
        """Nothing is owed any more."""
        self._response, self._file = None, None

    def pay(self, viewer: LegacyViewer, now_ms: float) -> None:
        """An older client came: it gets what it asked for."""
        response, file = self._response, self._file
        self.paid()
        if response is None or now_ms >= self._until_ms:
            return
        if response.status == "error":
            viewer.error(response.error or NO_ANSWER)
        else:
            viewer.answer(response.text, file)
