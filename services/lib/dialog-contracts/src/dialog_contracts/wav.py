"""WAV files of speech: s16le, 24 kHz, mono."""

import struct

from dialog_contracts import limits


def wav_file(pcm: bytes | bytearray) -> bytes:
    """Return a WAV file with these samples."""
    return wav_header(len(pcm)) + pcm


def wav_header(pcm_bytes: int) -> bytes:
    """Return the 44-byte header of a WAV file with `pcm_bytes` bytes of samples."""
    rate = limits.SAMPLE_RATE
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + pcm_bytes, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", pcm_bytes)
    )
