"""Binary form of a chunk for viewers.

A header of 52 bytes, little-endian, is followed by the samples (PCM) or by one Opus packet:

| at | size | what |
|---|---|---|
| 0 | 2 | `VC` |
| 2 | 1 | version, 1 |
| 3 | 1 | codec: 0 PCM s16le, 1 Opus |
| 4 | 4 | turn |
| 8 | 4 | seq |
| 12 | 4 | offsetMs |
| 16 | 2 | duration, ms |
| 18 | 2 | sample rate / 100 |
| 20 | 4 | textStart |
| 24 | 4 | textEnd |
| 28 | 8 | ts, Unix seconds, double |
| 36 | 15 | weights of the visemes in the order of `visemes.VISEMES`, 0 to 255 |
| 51 | 1 | 0 |

The socket determines the session. Readers skip a frame whose version or codec they do not know.
"""

import base64
import struct
from dataclasses import dataclass
from typing import Final

from dialog_contracts import limits
from dialog_contracts.ingest import SpeechChunk
from dialog_contracts.visemes import VISEMES

HEADER: Final = struct.Struct("<2sBBIIIHHIId15sx")
HEADER_BYTES: Final = HEADER.size
MAGIC: Final = b"VC"
VERSION: Final = 1
PCM: Final = 0
OPUS: Final = 1


@dataclass(frozen=True, slots=True)
class BinaryChunk:
    """A chunk parsed from a binary frame; `viseme` contains only the weights above zero."""

    turn: int
    seq: int
    offset_ms: int
    duration_ms: int
    sample_rate: int
    text_start: int
    text_end: int
    ts: float
    viseme: dict[str, float]
    codec: int
    payload: bytes


def pack(chunk: SpeechChunk) -> bytes:
    """Return the binary frame of a chunk (codec PCM)."""
    pcm = base64.b64decode(chunk.pcm)
    weights = bytes(
        round(255 * min(1.0, max(0.0, chunk.viseme.get(name, 0.0)))) for name in VISEMES
    )
    head = HEADER.pack(
        MAGIC,
        VERSION,
        PCM,
        chunk.turn,
        chunk.seq,
        chunk.offset_ms,
        len(pcm) // limits.BYTES_PER_MS,
        limits.SAMPLE_RATE // 100,
        chunk.text_start,
        chunk.text_end,
        chunk.ts,
        weights,
    )
    return head + pcm


def unpack(data: bytes) -> BinaryChunk:
    """Parse a binary frame; raises ValueError for a short, foreign or newer frame."""
    if len(data) < HEADER_BYTES:
        raise ValueError(f"a binary chunk has at least {HEADER_BYTES} bytes, not {len(data)}")
    magic, version, codec, turn, seq, offset, duration, rate, start, end, ts, weights = (
        HEADER.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"not a binary chunk of version {VERSION}")
    viseme = {
        name: round(weight / 255, 3)
        for name, weight in zip(VISEMES, weights, strict=True)
        if weight
    }
    return BinaryChunk(
        turn, seq, offset, duration, rate * 100, start, end, ts, viseme, codec, data[HEADER_BYTES:]
    )
