"""Converts a voice's response of any format into samples of the one format.

Samples are passed on, decoded as they arrive, or decoded when all have arrived; anything else is
rejected.
"""

from typing import Final, Protocol

from dialog_voice.audio.format_detection import Kind, kind_of, mp3_frame
from dialog_voice.audio.mp3 import BadAudio, Mp3Stream
from dialog_voice.voice import SAMPLE_RATE

GATHERED_MAX: Final = 16 * 1024 * 1024
_DECODED: Final[frozenset[Kind]] = frozenset({"WAV", "MP3", "FLAC", "Ogg Vorbis"})
_HEADER_MAX: Final = 1 << 16
_SHOWN_CHARS: Final = 120


class _Sink(Protocol):
    def push(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class SoundStream:
    """`push` bytes as they arrive, then `finish`; both return s16le, 24 kHz, mono.

    Both raise `BadAudio`, which names what arrived instead.
    """

    def __init__(self, *, pcm_rate: int = SAMPLE_RATE) -> None:
        """`pcm_rate` is the rate of bare samples, where the server reports another one."""
        self._head = b""
        self._sink: _Sink | None = None
        self._pcm_rate = pcm_rate

    def push(self, data: bytes) -> bytes:
        """Return the samples that are complete now."""
        if self._sink is not None:
            return self._sink.push(data)
        self._head += data
        return self._begin(whole=False)

    def finish(self) -> bytes:
        """Return the rest."""
        made = b""
        if self._sink is None:
            made = self._begin(whole=True)
        return made + (self._sink.finish() if self._sink is not None else b"")

    @property
    def gathers(self) -> bool:
        """Whether it decodes only when all data has arrived, which may take a moment."""
        return isinstance(self._sink, _Gathered)

    def _begin(self, *, whole: bool) -> bytes:
        head = self._head
        if not head:
            return b""
        kind = kind_of(head, whole=whole)
        if kind is None:
            return b""
        if (
            kind == "WAV"
            and (shape := _wav_shape(head)) is None
            and not whole
            and len(head) < _HEADER_MAX
        ):
            return b""
        self._head = b""
        if kind == "PCM":
            self._sink = (
                _Bare() if self._pcm_rate == SAMPLE_RATE else _Gathered("PCM", self._pcm_rate)
            )
        elif kind == "WAV" and shape == _TARGET_FORMAT:
            self._sink = _Wav()
        elif kind == "MP3" and mp3_frame(head[:4]) and _is_target_format(head[:4]):
            self._sink = _Mp3()
        elif kind in _DECODED:
            self._sink = _Gathered(kind)
        else:
            words = head.decode("utf-8", "replace") if kind in ("JSON", "HTML", "text") else ""
            raise BadAudio(
                f"asked for samples, got {kind}" + (f": {words[:_SHOWN_CHARS]}" if words else "")
            )
        return self._sink.push(head)


class _Bare:
    """Passes samples on; half of one waits for its other half."""

    def __init__(self) -> None:
        self._odd = b""

    def push(self, data: bytes) -> bytes:
        data, self._odd = self._odd + data, b""
        if len(data) % 2:
            data, self._odd = data[:-1], data[-1:]
        return data

    def finish(self) -> bytes:
        return b""


class _Wav:
    """Returns the data chunk of a WAV file of our own format, and nothing after it.

    Streamed files have no size in their header, or a wrong one.
    """

    def __init__(self) -> None:
        self._header: bytes | None = b""
        self._left = 0
        self._samples = _Bare()

    def push(self, data: bytes) -> bytes:
        if self._header is not None:
            self._header += data
            found = _data_at(self._header)
            if found is None:
                return b""
            start, size = found
            data, self._header = self._header[start:], None
            self._left = size if 0 < size < 0x7FFF_0000 else 1 << 62
        data = data[: self._left]
        self._left -= len(data)
        return self._samples.push(data)

    def finish(self) -> bytes:
        return b""


class _Mp3:
    def __init__(self) -> None:
        self._stream = Mp3Stream()

    def push(self, data: bytes) -> bytes:
        return self._stream.push(data)

    def finish(self) -> bytes:
        return b""


class _Gathered:
    """Collects what miniaudio decodes as a whole: other rates, several channels, other formats."""

    def __init__(self, kind: Kind, pcm_rate: int = 0) -> None:
        self._kind, self._pcm_rate = kind, pcm_rate
        self._data = bytearray()

    def push(self, data: bytes) -> bytes:
        self._data += data
        if len(self._data) > GATHERED_MAX:
            raise BadAudio(f"more than {GATHERED_MAX >> 20} MiB of {self._kind}")
        return b""

    def finish(self) -> bytes:
        import miniaudio

        s16 = miniaudio.SampleFormat.SIGNED16
        data = bytes(self._data)
        if self._kind == "PCM":
            data = data[: len(data) - len(data) % 2]
            return bytes(
                miniaudio.convert_frames(s16, 1, self._pcm_rate, data, s16, 1, SAMPLE_RATE)
            )
        try:
            sound = miniaudio.decode(_true_sizes(data), s16, nchannels=1, sample_rate=SAMPLE_RATE)
        except (miniaudio.MiniaudioError, ValueError) as error:
            raise BadAudio(
                f"asked for samples, got {self._kind} that cannot be decoded: {error}"
            ) from error
        return bytes(sound.samples.tobytes())


_TARGET_FORMAT: Final = (1, 1, SAMPLE_RATE, 16)


def _is_target_format(header: bytes) -> bool:
    """Return whether it is MPEG-2 layer III of 24 kHz, mono, which is decoded incrementally."""
    return header[1] & 0x18 == 0x10 and header[2] >> 2 & 3 == 1 and header[3] >> 6 == 3


def _chunk(data: bytes, name: bytes) -> tuple[int, int] | None:
    """Return where a chunk's content begins and its declared length."""
    at = 12
    while at + 8 <= len(data) and at < _HEADER_MAX:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == name:
            return at + 8, size
        at += 8 + size + size % 2
    return None


def _data_at(data: bytes) -> tuple[int, int] | None:
    return _chunk(data, b"data")


def _wav_shape(data: bytes) -> tuple[int, int, int, int] | None:
    """Return format, channels, rate and bits, or None until the samples begin."""
    found = _chunk(data, b"fmt ")
    if found is None or _data_at(data) is None or data[:4] != b"RIFF":
        return None
    content = data[found[0] : found[0] + 16]
    if len(content) < 16:
        return None
    kind, channels = int.from_bytes(content[:2], "little"), int.from_bytes(content[2:4], "little")
    return (
        kind,
        channels,
        int.from_bytes(content[4:8], "little"),
        int.from_bytes(content[14:16], "little"),
    )


def _true_sizes(data: bytes) -> bytes:
    """Return a WAV file with its actual length in the header, which a streamed file lacks."""
    found = _data_at(data) if data[:4] == b"RIFF" else None
    if found is None:
        return data
    start, size = found
    if size <= len(data) - start:
        return data
    whole = (len(data) - 8).to_bytes(4, "little"), (len(data) - start).to_bytes(4, "little")
    return data[:4] + whole[0] + data[8 : start - 4] + whole[1] + data[start:]
