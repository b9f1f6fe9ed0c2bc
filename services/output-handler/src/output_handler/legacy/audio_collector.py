"""The sound of a session's present turn, collected for viewers that take a whole file at its end. One copy for all of them."""

import base64
import json
from typing import Final

from dialog_contracts import limits, wav
from output_handler.playback.turn import AudioFrame

MAX_BYTES: Final = 10 * 60 * 1000 * limits.BYTES_PER_MS
"""Ten minutes."""


class AudioCollector:
    """`file` takes what was collected."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._disabled = False

    @property
    def empty(self) -> bool:
        """Whether nothing was collected yet."""
        return not self._pcm

    def new_turn(self) -> None:
        """Begin anew."""
        self._pcm = bytearray()
        self._disabled = False

    def add(self, sound: AudioFrame) -> None:
        """A chunk, unless this turn's sound came as a file already."""
        if len(self._pcm) < MAX_BYTES and not self._disabled:
            self._pcm += base64.b64decode(json.loads(sound.json)["pcm"])

    def discard(self) -> None:
        """Stopped: there will be no file."""
        self._pcm = bytearray()

    def disable_for_turn(self) -> None:
        """The sound of this turn came as a file; its chunks are for others."""
        self._pcm = bytearray()
        self._disabled = True

    def to_wav(self) -> bytes | None:
        """A WAV file of what was collected; None where there is nothing."""
        pcm, self._pcm = self._pcm, bytearray()
        return wav.wav_file(bytes(pcm)) if pcm else None
