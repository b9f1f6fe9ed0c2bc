"""The sound of a session's present turn, collected for viewers that take a whole file at its end. One copy for all of them."""

import base64
import json
from typing import Final

from dialog_contracts import limits
from output_handler.turn_view import Sound
from service_runtime import wav

BYTES_MAX: Final = 10 * 60 * 1000 * limits.BYTES_PER_MS
"""Ten minutes."""


class Collected:
    """`file` takes what was collected."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._came_as_file = False

    @property
    def empty(self) -> bool:
        """Whether nothing was collected yet."""
        return not self._pcm

    def new_turn(self) -> None:
        """Begin anew."""
        self._pcm = bytearray()
        self._came_as_file = False

    def add(self, sound: Sound) -> None:
        """A chunk, unless this turn's sound came as a file already."""
        if len(self._pcm) < BYTES_MAX and not self._came_as_file:
            self._pcm += base64.b64decode(json.loads(sound.json)["pcm"])

    def flush(self) -> None:
        """Stopped: there will be no file."""
        self._pcm = bytearray()

    def came_as_file(self) -> None:
        """The sound of this turn came as a file; its chunks are for others."""
        self._pcm = bytearray()
        self._came_as_file = True

    def file(self) -> bytes | None:
        """A WAV file of what was collected; None where there is nothing."""
        pcm, self._pcm = self._pcm, bytearray()
        return wav.file(bytes(pcm)) if pcm else None
