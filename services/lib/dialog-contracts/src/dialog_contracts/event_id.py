"""Ids of outbox events: a UUIDv7 that follows from what the event is about.

An event that is made twice, for example because two engines import the same turn, gets the same id
both times, so that consumers drop the second one. The time is that of the turn, and the other bits
are a hash of the parts.
"""

import hashlib
from typing import Final
from uuid import UUID

_VERSION: Final = 7
_VARIANT: Final = 0b10
_MAX_MS: Final = (1 << 48) - 1


def event_id(ts_ms: int, *parts: object) -> str:
    """Return the id of the event that `parts` describe; `ts_ms` is in Unix ms."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass"))
    random = int.from_bytes(digest.digest()[:10], "big")
    value = (max(0, min(ts_ms, _MAX_MS)) << 80) | (_VERSION << 76)
    value |= (random >> 68 & 0xFFF) << 64
    value |= (_VARIANT << 62) | (random & ((1 << 62) - 1))
    return str(UUID(int=value))
