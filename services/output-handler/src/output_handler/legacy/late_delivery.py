"""What an older client asked for and was not there to hear: it sends over one connection, and opens another one to listen."""

from typing import Final

from dialog_contracts.legacy_chain import UPLOAD_ID, TaskResponse
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.response_source import DeliveryAck
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.timer import ResettableTimer

NO_RESPONSE: Final = "there is no answer to this message"
LATE_DELIVERY_TTL_S: Final = 30.0
"""As long as a client may take to open its second connection."""


class LateDelivery:
    """At most one answer a session, until it is given or its time is over."""

    def __init__(self) -> None:
        self._response: tuple[TaskResponse, bytes | None, DeliveryAck] | None = None
        self._expiry = ResettableTimer(self.clear)

    def remember(
        self, response: TaskResponse, file: bytes | None, delivered: DeliveryAck, *, taken: bool
    ) -> None:
        """An answer, or that there is none, goes to those who are there; `taken`: an older client is among them."""
        if not taken and (response.meta.request_id or "").startswith(UPLOAD_ID):
            self._response = (response, file, delivered)
            self._expiry.schedule(LATE_DELIVERY_TTL_S)

    def clear(self) -> None:
        """Nothing is owed any more."""
        self._response = None
        self._expiry.cancel()

    def deliver(self, viewer: LegacyViewer) -> bool:
        """An older client came: it gets what it asked for; false where nothing is owed."""
        if self._response is None:
            return False
        response, file, delivered = self._response
        self.clear()
        if response.status == "error":
            viewer.error(response.error or NO_RESPONSE)
        else:
            viewer.send_response(LegacyResponseFrames.build(viewer.session_id, response.text, file))
        viewer.on_sent(delivered)
        return True
