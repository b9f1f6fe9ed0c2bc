"""An audio file as chunks of 40 ms, with mouth shapes and text positions. Pure."""

import io
import wave
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from dialog_contracts import limits
from dialog_contracts.legacy_chain import MouthCue

CHUNK_BYTES: Final = limits.CHUNK_MS * limits.BYTES_PER_MS


class BadWavFile(ValueError):
    """Not a WAV of 24 kHz, 16 bit, mono, or without a sample."""


class WavFile:
    """`file` is the WAV as it came, `pcm` its samples. Raises BadWavFile."""

    def __init__(self, file: bytes, mouth: Sequence[MouthCue] = ()) -> None:
        self.file = file
        self.pcm = _samples(file)
        cues = sorted(mouth, key=lambda cue: cue.offset_ms)
        self._from = [cue.offset_ms for cue in cues]
        self._weights = [cue.weights for cue in cues]

    @property
    def duration_ms(self) -> int:
        """Length of the audio in whole ms."""
        return len(self.pcm) // limits.BYTES_PER_MS

    def __len__(self) -> int:
        """Number of chunks."""
        return -(-len(self.pcm) // CHUNK_BYTES)

    def chunk(self, seq: int) -> bytes:
        """Return the samples of a chunk; the last one may be shorter."""
        return self.pcm[seq * CHUNK_BYTES : (seq + 1) * CHUNK_BYTES]

    def viseme_at(self, offset_ms: int) -> dict[str, float]:
        """Return the mouth shape at this time of the audio; empty before the first cue."""
        at = bisect_right(self._from, offset_ms) - 1
        return self._weights[at] if at >= 0 else {}

    def text_position_at(self, offset_ms: int, length: int) -> int:
        """Return how many of a text's `length` characters are spoken by then, in proportion to time.

        The file has no word times.
        """
        return min(length, length * offset_ms // max(1, self.duration_ms))


def _samples(file: bytes) -> bytes:
    try:
        with wave.open(io.BytesIO(file)) as reader:
            form = (reader.getframerate(), reader.getsampwidth(), reader.getnchannels())
            # The header of a file that was written while it was synthesized may promise too much.
            pcm = reader.readframes(len(file))
    except (wave.Error, EOFError, RuntimeError) as error:
        raise BadWavFile(f"not a WAV file: {str(error) or 'cut off'}") from error
    if form != (limits.SAMPLE_RATE, 2, 1):
        raise BadWavFile(
            f"a voice file has {limits.SAMPLE_RATE} Hz, 2 bytes and 1 channel, not {form}"
        )
    whole = bytes(pcm[: len(pcm) // 2 * 2])
    if len(whole) < limits.BYTES_PER_MS:
        raise BadWavFile("the voice file is empty")
    return whole
