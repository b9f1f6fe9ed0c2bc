"""Assignment of sessions to engines by rendezvous hashing.

Input-handlers and engines compute it alike. All configured engines count, ready or not: a restart
moves no session, and an added engine takes over only its own share.
"""

from hashlib import blake2b


def rank_engines(session_id: str, engines: int) -> list[int]:
    """Return the ordinals of `engines` engines: the session's home first, then its substitutes."""
    return sorted(range(engines), key=lambda ordinal: _weight(session_id, ordinal), reverse=True)


def _weight(session_id: str, ordinal: int) -> bytes:
    return blake2b(f"{ordinal}/{session_id}".encode(), digest_size=8).digest()
