"""Which engine a session belongs to, where there are several. Pure; input-handlers and engines reckon alike.

Rendezvous hashing over the configured engines, ready or not: a restart moves nothing, and one engine more moves only its own share.
"""

from hashlib import blake2b


def rank_engines(session_id: str, engines: int) -> list[int]:
    """Ordinals of `engines` engines: the session's home, then who stands in for it, in order."""
    return sorted(range(engines), key=lambda ordinal: _weight(session_id, ordinal), reverse=True)


def _weight(session_id: str, ordinal: int) -> bytes:
    return blake2b(f"{ordinal}/{session_id}".encode(), digest_size=8).digest()
