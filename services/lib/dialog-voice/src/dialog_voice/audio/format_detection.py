"""Detects the format of bytes by their content, since servers' content types are often wrong."""

from collections.abc import Callable
from typing import Final, Literal

Kind = Literal[
    "PCM",
    "WAV",
    "MP3",
    "FLAC",
    "Ogg Vorbis",
    "Ogg Opus",
    "Ogg",
    "AAC",
    "MP4",
    "WebM",
    "AIFF",
    "gzip",
    "JSON",
    "HTML",
    "text",
]

SNIFF_BYTES: Final = 64
"""Bytes needed to decide, except for MP3 and AAC streams.

Their first frame must be followed by a second one.
"""

_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"fLaC", "FLAC"),
    (0, b"FORM", "AIFF"),
    (0, b"\x1aE\xdf\xa3", "WebM"),
    (4, b"ftyp", "MP4"),
    (0, b"\x1f\x8b\x08", "gzip"),
)
_MPEG1_RATES: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_RATES: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_AAC_FRAME_MAX: Final = 8_191


def kind_of(head: bytes, *, whole: bool) -> Kind | None:
    """Return the format, or None while more bytes are needed. `whole`: no more will come."""
    if len(head) < SNIFF_BYTES and not whole:
        return None
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"OggS":
        return (
            "Ogg Opus" if b"OpusHead" in head else "Ogg Vorbis" if b"\x01vorbis" in head else "Ogg"
        )
    if head[:3] == b"ID3" and len(head) > 3 and head[3] < 0xFF:
        return "MP3"
    for at, magic, kind in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # The sample -1 looks like the beginning of a frame, so only a second frame decides.
        for named, length in (("MP3", mp3_frame), ("AAC", _aac_frame)):
            found = _frames(head, length, whole=whole)
            if found is None:
                return None
            if found:
                return "MP3" if named == "MP3" else "AAC"
        return "PCM"
    return _written(head) or "PCM"


def mp3_frame(header: bytes) -> int:
    """Return the length in bytes of the layer III frame that these four bytes begin, or 0."""
    version, layer, code, rate = (
        header[1] >> 3 & 3,
        header[1] >> 1 & 3,
        header[2] >> 4,
        header[2] >> 2 & 3,
    )
    if (
        header[0] != 0xFF
        or header[1] & 0xE0 != 0xE0
        or version == 1
        or layer != 1
        or code in (0, 15)
        or rate == 3
    ):
        return 0
    if header[3] & 3 == 2:
        return 0
    kilobits = (_MPEG1_RATES if version == 3 else _MPEG2_RATES)[code]
    return (144 if version == 3 else 72) * kilobits * 1000 // _SAMPLE_RATES[version][rate] + (
        header[2] >> 1 & 1
    )


def _aac_frame(header: bytes) -> int:
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12 or len(header) < 6:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if 7 < length <= _AAC_FRAME_MAX else 0


def _frames(head: bytes, length: Callable[[bytes], int], *, whole: bool) -> bool | None:
    """Return whether `head` begins with two frames, or is exactly one; None while undecided."""
    first = length(head[:6]) if len(head) >= 6 else 0
    if not first:
        return False
    if len(head) < first + 6:
        return None if not whole else len(head) == first
    return length(head[first : first + 6]) > 0


def _written(head: bytes) -> Kind | None:
    """Return the kind of text, or None for binary data.

    Text is recognised by exclusion: audio does not begin with 64 printable bytes and is not that
    short.
    """
    try:
        text = head[:SNIFF_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The last character may be incomplete.
        if error.start < SNIFF_BYTES - 4 or not head[: error.start]:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if not text or not all(char.isprintable() or char in "\r\n\t" for char in text):
        return None
    begins = text.lstrip()[:1]
    return "JSON" if begins in ("{", "[") else "HTML" if begins == "<" else "text"
