"""Incremental MP3 decoder.

miniaudio's own streaming source cannot be used for a network: before each frame its decoder fills a
buffer of 16 KiB, which is two and a half seconds of speech, and blocks for it. So frames are
located here by their headers, and each batch of new frames is decoded from memory together with a
few frames before it. Those contain all that a frame depends on: the bit reservoir (255 bytes at
this rate), the overlap with the last frame's transform, and the filter bank's memory. The result
equals that of decoding the whole file at once, sample for sample; a test checks it.
"""

from typing import Final

_RATE: Final = 24_000
_FRAME_SAMPLES: Final = 576
"""Samples of an MPEG-2 layer III frame: 24 ms at 24 kHz."""

_CONTEXT_FRAMES: Final = 8
"""Number of frames that are decoded again before new ones.

Three contain the reservoir at 48 kbit/s; eight do at 16 kbit/s too.
"""

CODEC_DELAY_SAMPLES: Final = 576 + 529
"""Delay of decoded audio relative to the encoder's input, in samples.

It is one frame in usual encoders and 529 samples in every decoder. Streams without a LAME header,
such as Edge's, do not report theirs. The silence itself is trimmed like any other.
"""

_BIT_RATES: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class BadAudio(ValueError):
    """The bytes are not the expected audio, or not an MP3 of 24 kHz, mono."""


class Mp3Stream:
    """Decodes one stream of MPEG-2 layer III, 24 kHz, mono."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._context: list[bytes] = []
        self._skip = 0

    def push(self, data: bytes) -> bytes:
        """Return the PCM (s16le) of all frames that are complete now. Raises `BadAudio`."""
        self._bytes += data
        frames = self._take_frames()
        if not frames:
            return b""
        window = self._context + frames
        self._context = window[-_CONTEXT_FRAMES:]
        return _decode(b"".join(window))[-len(frames) * _FRAME_SAMPLES * 2 :]

    def _take_frames(self) -> list[bytes]:
        frames = []
        position = self._past_tag()
        while len(self._bytes) - position >= 4:
            length = _frame_length(self._bytes[position : position + 4])
            if length == 0:
                # Not a header: find the next place that could be one.
                found = self._bytes.find(b"\xff", position + 1)
                position = found if found >= 0 else len(self._bytes)
                continue
            if len(self._bytes) - position < length:
                break
            frames.append(bytes(self._bytes[position : position + length]))
            position += length
        del self._bytes[:position]
        return frames

    def _past_tag(self) -> int:
        """Skip an ID3v2 tag, whose length is in four bytes of seven bits."""
        if len(self._bytes) >= 10 and self._bytes.startswith(b"ID3"):
            size = 0
            for byte in self._bytes[6:10]:
                size = size << 7 | byte & 0x7F
            self._skip = 10 + size
            # Only the first bytes of a stream can be a tag.
        skipped = min(self._skip, len(self._bytes))
        self._skip -= skipped
        return skipped


def _frame_length(header: bytes | bytearray) -> int:
    """Return the length in bytes of the frame that `header` begins, 0 when it begins none.

    Raises `BadAudio` for a frame of another format.
    """
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or header[1] & 0x06 != 0x02:
        return 0
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 0x03
    if bit_rate in (0, 15) or rate == 3:
        return 0
    if header[1] & 0x18 != 0x10 or rate != 1 or header[3] >> 6 != 3:
        raise BadAudio("an MP3 stream, but not of 24 kHz, mono")
    return 72 * _BIT_RATES[bit_rate] * 1000 // _RATE + (header[2] >> 1 & 1)


def _decode(frames: bytes) -> bytes:
    import miniaudio

    try:
        return bytes(miniaudio.mp3_read_s16(frames).samples.tobytes())
    except miniaudio.DecodeError as error:
        raise BadAudio(str(error)) from error
