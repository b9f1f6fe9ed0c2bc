"""Sizes and lengths that every reader enforces. An error about one of them names the field and the limit."""

from typing import Final

MAX_CONTENT_CHARS: Final = 4_000
"""Longest `content` of a request, in characters."""

MAX_REPLY_CHARS: Final = 32_000
"""Longest reply that the legacy chain takes."""

MAX_UPLOAD_BYTES: Final = 16 * 1024 * 1024
"""Largest recording of an upload."""

MAX_JSON_FRAME_BYTES: Final = 64 * 1024
"""Longest JSON body or text frame."""

MAX_BINARY_FRAME_BYTES: Final = 1024 * 1024
"""Longest binary frame of an upload."""

MAX_UPLOAD_FRAMES: Final = 512
"""Most frames of one upload."""

MAX_META_CHARS: Final = 256
"""Longest text in `meta`, except `meta.text` of SAY, which is content."""

MAX_EVENT_BYTES: Final = 256 * 1024
"""Longest Server-Sent Event."""

MAX_TURN: Final = 2**31 - 1
MAX_TURN_AHEAD: Final = 100
"""How far beyond a session's last turn a number that a caller chooses may be: numbers that are left out cannot be had again."""

MAX_COUNT: Final = 2**31 - 1
"""Largest seq, offset or place in a text: all fit the header of a binary chunk."""

SAMPLE_RATE: Final = 24_000
"""Samples a second of all speech inside: s16le, mono."""

BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000

CHUNK_MS: Final = 40
"""Usual length of a chunk; any length from 20 to 60 is legal, the last of a fragment may be shorter."""

MAX_CHUNK_MS: Final = 60
