"""The interface of voice activity detection (VAD)."""

from typing import Final, Protocol

from asr.decoder import RATE, Samples

FRAME: Final = 512
"""Samples of a frame, as Silero was trained with."""

FRAME_MS: Final = FRAME * 1000 // RATE


class VoiceActivity(Protocol):
    """Voice activity of one microphone; it depends on earlier frames."""

    def speech_probability(self, frame: Samples) -> float:
        """Return the probability of speech in these 512 samples, 0 to 1.

        It takes far less than the duration of a frame.
        """
