"""Sizes and lengths that every reader enforces.

An error about one of them names the field and the limit.
"""

from typing import Final

MAX_CONTENT_CHARS: Final = 4_000
"""Longest `content` of a request, in characters."""

MAX_REPLY_CHARS: Final = 32_000
"""Longest reply that the legacy pipeline accepts, in characters."""

MAX_UPLOAD_BYTES: Final = 16 * 1024 * 1024
"""Largest recording of an upload, in bytes."""

MAX_JSON_FRAME_BYTES: Final = 64 * 1024
"""Longest JSON body or text frame, in bytes."""

MAX_BINARY_FRAME_BYTES: Final = 1024 * 1024
"""Longest binary frame of an upload, in bytes."""

MAX_UPLOAD_FRAMES: Final = 512
"""Largest number of frames of one upload."""

MAX_META_CHARS: Final = 256
"""Longest text in `meta`, in characters, except `meta.text` of SAY, which is content."""

MAX_EVENT_BYTES: Final = 256 * 1024
"""Longest Server-Sent Event, in bytes."""

MAX_TURN: Final = 2**31 - 1
MAX_TURN_AHEAD: Final = 100
"""Largest distance of a turn number chosen by a caller from the session's last turn.

Numbers that are skipped cannot be used later.
"""

MAX_COUNT: Final = 2**31 - 1
"""Largest sequence number, offset or text position; all fit into the header of a binary chunk."""

SAMPLE_RATE: Final = 24_000
"""Samples per second of all speech inside the system: s16le, mono."""

BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000

CHUNK_MS: Final = 40
"""Usual length of a chunk in ms.

Any length from 20 to 60 ms is legal; the last chunk of a fragment may be shorter.
"""

MAX_CHUNK_MS: Final = 60
