"""Opens microphones and limits how many a client has."""

from collections import Counter

from dialog_contracts.input_socket import MicStart
from input_handler.microphone.playback_client import PlaybackClient
from input_handler.microphone.stream import MicrophoneStream, OnTranscript, SendFrame
from input_handler.microphone.user_speaking import UserSpeakingNotifier
from service_runtime.http.errors import TooMany


class MicrophoneFactory:
    """asr serves few microphones in all, so each client has at most `max_per_client`.

    A microphone counts until `closed`, also while its last results are still awaited.
    """

    def __init__(
        self,
        asr_url: str,
        control: PlaybackClient,
        notice: UserSpeakingNotifier,
        *,
        max_per_client: int,
    ) -> None:
        self._asr_url, self._control, self._notice = asr_url, control, notice
        self._max_per_client = max_per_client
        self._clients: Counter[str] = Counter()

    def open(
        self, start: MicStart, send: SendFrame, ask: OnTranscript, client: str
    ) -> MicrophoneStream:
        """Return a microphone to run; the caller calls `closed` afterwards. Raises TooMany.

        `send` sends a frame to the client, `ask` begins a turn.
        """
        if self._clients[client] >= self._max_per_client:
            raise TooMany(
                f"{self._max_per_client} microphones at once is the limit of a client address",
                code="too_many_microphones",
            )
        self._clients[client] += 1
        return MicrophoneStream(start, self._asr_url, self._control, self._notice, send, ask)

    def closed(self, client: str) -> None:
        """Count a microphone of this client as closed."""
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
