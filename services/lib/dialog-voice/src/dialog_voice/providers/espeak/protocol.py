"""Frames between the espeak child and its parent, over two pipes, the same in both directions.

A frame is two little-endian u32 (bytes of JSON, bytes of PCM), the JSON object, and the PCM.

    parent → child   {"op": "speak", "id", "parts": [[voice, rate, pitch, text, start], …],
                      "lead", "tail"}
                     {"op": "cancel", "id"}
    child → parent   {"ready": version}
                     {"id", "phonemes": [[ms, ipa], …], "words": [[ms, start, length], …]} + PCM
                     {"id", "end": "done" | "cancelled" | "failed", "detail"?}
"""

import json
import struct
from typing import Any, Final

HEADER: Final = struct.Struct("<II")
JSON_LIMIT: Final = 1 << 20
PCM_LIMIT: Final = 1 << 24


class BrokenFrame(ValueError):
    """The other side sent an invalid frame: invalid data, or both sides are out of step."""


def pack(message: dict[str, Any], pcm: bytes = b"") -> bytes:
    """Return `message` and `pcm` as one frame."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join((HEADER.pack(len(body), len(pcm)), body, pcm))


def sizes(header: bytes) -> tuple[int, int]:
    """Return the lengths of the JSON and the PCM after `header`.

    Raises `BrokenFrame` beyond the limits.
    """
    json_bytes, pcm_bytes = HEADER.unpack(header)
    if json_bytes > JSON_LIMIT or pcm_bytes > PCM_LIMIT:
        raise BrokenFrame(f"a frame of {json_bytes} + {pcm_bytes} bytes")
    return json_bytes, pcm_bytes


def unpack(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a frame. Raises `BrokenFrame`."""
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BrokenFrame("a frame without JSON") from error
    if not isinstance(message, dict):
        raise BrokenFrame("a frame whose JSON is no object")
    return message
