"""Where microphones come from: what all of them share."""

from dialog_contracts.input_socket import MicStart
from input_handler.listening.microphone import AskTurn, Microphone, Tell
from input_handler.listening.output_control import OutputControl
from input_handler.listening.spoken_to import SpokenToNotice


class Microphones:
    """Makes a microphone for whoever turns one on."""

    def __init__(self, asr_url: str, control: OutputControl, notice: SpokenToNotice) -> None:
        self._asr_url, self._control, self._notice = asr_url, control, notice

    def open(self, start: MicStart, tell: Tell, ask: AskTurn) -> Microphone:
        """One that is to be run. `tell` sends a frame to its client, `ask` begins a turn."""
        return Microphone(start, self._asr_url, self._control, self._notice, tell, ask)
