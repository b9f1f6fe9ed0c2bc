"""Collects the audio of a session's present turn for legacy viewers, which get one file at its end.

There is one copy for all of them.
"""

import base64
import json
from typing import Final

from dialog_contracts import limits, wav
from output_handler.playback.turn import AudioFrame

MAX_BYTES: Final = 10 * 60 * 1000 * limits.BYTES_PER_MS
"""Ten minutes of audio."""


class AudioCollector:
    """Holds at most `MAX_BYTES`; further audio is dropped."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._disabled = False

    @property
    def empty(self) -> bool:
        """Whether nothing was collected yet."""
        return not self._pcm

    def new_turn(self) -> None:
        """Drop everything and collect again."""
        self._pcm = bytearray()
        self._disabled = False

    def add(self, sound: AudioFrame) -> None:
        """Add a chunk, unless this turn has its audio as a file."""
        if len(self._pcm) < MAX_BYTES and not self._disabled:
            self._pcm += base64.b64decode(json.loads(sound.json)["pcm"])

    def discard(self) -> None:
        """Drop what was collected: there will be no file."""
        self._pcm = bytearray()

    def disable_for_turn(self) -> None:
        """Collect nothing until the next turn, whose audio is a file already."""
        self._pcm = bytearray()
        self._disabled = True

    def to_wav(self) -> bytes | None:
        """Return what was collected as a WAV file and drop it; None where there is nothing."""
        pcm, self._pcm = self._pcm, bytearray()
        return wav.wav_file(bytes(pcm)) if pcm else None
