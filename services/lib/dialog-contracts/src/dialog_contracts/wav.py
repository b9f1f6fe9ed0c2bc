"""WAV files of speech: s16le, mono, 24 kHz unless told otherwise."""

import struct

from dialog_contracts import limits


def wav_file(pcm: bytes | bytearray, sample_rate: int = limits.SAMPLE_RATE) -> bytes:
    """Return a WAV file with these samples."""
    return wav_header(len(pcm), sample_rate) + pcm


def wav_header(pcm_bytes: int, sample_rate: int = limits.SAMPLE_RATE) -> bytes:
    """Return the 44-byte header of a WAV file with `pcm_bytes` bytes of samples."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + pcm_bytes, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", pcm_bytes)
    )
