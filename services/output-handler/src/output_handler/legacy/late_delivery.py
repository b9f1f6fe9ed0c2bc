"""Keeps one response for a legacy client that is not connected yet.

Such a client sends its recording over one connection and opens another one for the response, which
may be ready first.
"""

from typing import Final

from dialog_contracts.legacy_chain import UPLOAD_ID, TaskResponse
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.response_source import DeliveryAck
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.timer import ResettableTimer

NO_RESPONSE: Final = "there is no answer to this message"
LATE_DELIVERY_TTL_S: Final = 30.0
"""Longest time in seconds until the client opens its second connection."""


class LateDelivery:
    """At most one response per session."""

    def __init__(self) -> None:
        self._response: tuple[TaskResponse, bytes | None, DeliveryAck] | None = None
        self._expiry = ResettableTimer(self.clear)

    def remember(
        self, response: TaskResponse, file: bytes | None, delivered: DeliveryAck, *, taken: bool
    ) -> None:
        """Keep a response to an upload, unless a legacy viewer has it already (`taken`)."""
        if not taken and (response.meta.request_id or "").startswith(UPLOAD_ID):
            self._response = (response, file, delivered)
            self._expiry.schedule(LATE_DELIVERY_TTL_S)

    def clear(self) -> None:
        """Drop the response."""
        self._response = None
        self._expiry.cancel()

    def deliver(self, viewer: LegacyViewer) -> bool:
        """Send the kept response to a legacy viewer that joins; return whether there was one."""
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
