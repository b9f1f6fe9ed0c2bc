"""Whether there is a voice in a frame."""

from typing import Final, Protocol

from asr.decoder import RATE, Samples

FRAME: Final = 512
"""Samples of a frame: what Silero was trained with."""

FRAME_MS: Final = FRAME * 1000 // RATE


class VoiceActivity(Protocol):
    """One microphone's; it remembers what came before."""

    def speech_probability(self, frame: Samples) -> float:
        """Of a voice in these 512 samples, 0 to 1. Takes far less than a frame's time."""
