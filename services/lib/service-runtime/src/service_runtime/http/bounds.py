"""Limits of size and time for one connection, the same in every service."""

from typing import Final

HEAD_BYTES: Final = 32 * 1024
"""Largest request line and headers together, in bytes; otherwise 431."""

LINE_BYTES: Final = 8_000
"""Largest header, name and value, in bytes; otherwise 431.

Browsers' cookies need less than half of it. The parser of WebSocket handshakes reads lines of 8
192.
"""

URL_BYTES: Final = 8_000
"""Longest URL in bytes; otherwise 414."""

HEADERS: Final = 100

FRAMING_BYTES: Final = 256 * 1024
"""Largest framing of a body in bytes: chunk sizes, chunk extensions and trailers."""

PIPELINED: Final = 16
"""Largest number of requests on one connection before the first of them is answered."""

HEAD_TIMEOUT_S: Final = 10.0
"""Seconds from the connection, or from a later request's first byte, to the end of the head.

After that the response is 408.
"""

BODY_TIMEOUT_S: Final = 20.0
"""Seconds from the end of the head to the end of the body, which has at most 64 kB; then 408."""

DRAIN_S: Final = 1.0
"""Seconds for which a refused connection is still read.

If it were closed with unread bytes, the connection would be reset and the refusal could be lost.
"""

CLOSE_TIMEOUT_S: Final = 3.0
"""Seconds after which a refused connection is aborted, whether its refusal was read or not."""

DRAIN_BYTES: Final = 4 * 1024 * 1024

FRAME_BURST: Final = 600
FRAMES_PER_SECOND: Final = 300
"""WebSocket frames of a client, including pings and fragments of messages.

A microphone sends 50 per second, an upload 400 in total.
"""

FRAGMENTS: Final = 512
"""Largest number of frames of one message. Browsers send one, or one for each 128 kB."""

MAX_WAITING_PER_ADDRESS: Final = 64
"""Connections of one address that have sent no whole request for longer than `MIN_WAIT_S`.

The oldest is closed when another one connects. A browser opens 6.
"""

MIN_WAIT_S: Final = 1.0
"""Age in seconds below which `MAX_CONNECTING_PER_ADDRESS` applies.

Many clients that connect at once and then all send a request are not a flood.
"""

READ_TIMEOUT_S: Final = 0.05
"""Seconds within which a running process reads what a socket has received."""

MAX_CONNECTING_PER_ADDRESS: Final = 512
"""Waiting connections of one address while all of them are younger than `MIN_WAIT_S`."""

MAX_IDLE_PER_ADDRESS: Final = 256
"""Connections of one address that are kept open between two requests."""

MAX_WAITING: Final = 4_096
"""Waiting and idle connections of all addresses together."""

SPARE_FILES: Final = 64
"""Open files of a process beside its connections."""
