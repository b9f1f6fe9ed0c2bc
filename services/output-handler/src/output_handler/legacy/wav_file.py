"""A whole voice file as the chunks that viewers play: 40 ms of sound each, with the mouth's shape and the words' place. Pure."""

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
    """`file` is the WAV as it came, `pcm` its samples; chunks are cut when they are asked for. Raises BadVoiceFile."""

    def __init__(self, file: bytes, mouth: Sequence[MouthCue] = ()) -> None:
        self.file = file
        self.pcm = _samples(file)
        cues = sorted(mouth, key=lambda cue: cue.offset_ms)
        self._from = [cue.offset_ms for cue in cues]
        self._weights = [cue.weights for cue in cues]

    @property
    def duration_ms(self) -> int:
        """Length of the sound, whole ms."""
        return len(self.pcm) // limits.BYTES_PER_MS

    def __len__(self) -> int:
        """Number of chunks."""
        return -(-len(self.pcm) // CHUNK_BYTES)

    def chunk(self, seq: int) -> bytes:
        """Samples of a chunk; the last one may be shorter."""
        return self.pcm[seq * CHUNK_BYTES : (seq + 1) * CHUNK_BYTES]

    def viseme_at(self, offset_ms: int) -> dict[str, float]:
        """The shape in force at this time of the audio; empty before the first cue."""
        at = bisect_right(self._from, offset_ms) - 1
        return self._weights[at] if at >= 0 else {}

    def text_position_at(self, offset_ms: int, length: int) -> int:
        """How many of a text's `length` characters are said by then: the file names no words, so time shares them out."""
        return min(length, length * offset_ms // max(1, self.duration_ms))


def _samples(file: bytes) -> bytes:
    try:
        with wave.open(io.BytesIO(file)) as reader:
            form = (reader.getframerate(), reader.getsampwidth(), reader.getnchannels())
            # The header of a file that was written as it was spoken may promise more than there is.
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
