"""Where microphones come from: what all of them share, and how many a client has."""

from collections import Counter

from dialog_contracts.input_socket import MicStart
from input_handler.listening.microphone import AskTurn, Microphone, Tell
from input_handler.listening.output_control import OutputControl
from input_handler.listening.spoken_to import SpokenToNotice
from service_runtime.errors import TooMany


class Microphones:
    """Makes a microphone for whoever turns one on. asr has few places for all clients: one of them has `a_client` at most, those that
    were turned off and are heard to their end among them.
    """

    def __init__(
        self, asr_url: str, control: OutputControl, notice: SpokenToNotice, *, a_client: int
    ) -> None:
        self._asr_url, self._control, self._notice = asr_url, control, notice
        self._a_client = a_client
        self._clients: Counter[str] = Counter()

    def open(self, start: MicStart, tell: Tell, ask: AskTurn, client: str) -> Microphone:
        """One that is to be run, and `closed` afterwards. `tell` sends a frame to its client, `ask` begins a turn. Raises TooMany."""
        if self._clients[client] >= self._a_client:
            raise TooMany(
                f"{self._a_client} microphones at once is the limit of a client address",
                code="too_many_microphones",
            )
        self._clients[client] += 1
        return Microphone(start, self._asr_url, self._control, self._notice, tell, ask)

    def closed(self, client: str) -> None:
        """The counterpart of `open`."""
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
