"""How much one connection may send, and how long it may take. The same at every door."""

from typing import Final

HEAD_BYTES: Final = 32 * 1024
"""Request line and headers together; more is answered 431."""

LINE_BYTES: Final = 8_000
"""One header, name and value; browsers' cookies stay below half of it. The parser of WebSocket handshakes reads lines of 8 192."""

URL_BYTES: Final = 8_000
"""More is answered 414."""

HEADERS: Final = 100

FRAMING_BYTES: Final = 256 * 1024
"""What comes with a body and is none of it: sizes of chunks, their extensions, trailers."""

PIPELINED: Final = 16
"""Requests on one connection before the first of them is answered."""

HEAD_TIMEOUT_S: Final = 10.0
"""From the connection, or the first byte of a later request, to the end of its head; then 408."""

BODY_TIMEOUT_S: Final = 20.0
"""From the end of the head to the end of the body, which has at most 64 kB; then 408."""

DRAIN_S: Final = 1.0
"""Whoever was refused is listened to for so long: closed with bytes unread, a connection is reset, and the refusal may be lost with it."""

CLOSE_TIMEOUT_S: Final = 3.0
"""… and then it is gone, whether it has read the refusal or not."""

DRAIN_BYTES: Final = 4 * 1024 * 1024

FRAME_BURST: Final = 600
FRAMES_PER_SECOND: Final = 300
"""WebSocket frames of a client, those that are parts of a message and pings included. A microphone sends 50 a second, an upload 400."""

FRAGMENTS: Final = 512
"""Frames that one message may come in. Browsers send one, or one for each 128 kB."""

MAX_WAITING_PER_ADDRESS: Final = 64
"""Connections of one address that have had no request, or half of one, for longer than `YOUNG_S`; the oldest goes when another comes.
A browser opens 6."""

MIN_WAIT_S: Final = 1.0
"""Many that connect at once, and then all say what they want, are no flood."""

READ_TIMEOUT_S: Final = 0.05
"""What a socket holds is read within this time by a process that runs."""

MAX_CONNECTING_PER_ADDRESS: Final = 512
"""… and so many with those that are younger."""

MAX_IDLE_PER_ADDRESS: Final = 256
"""Connections of one address that are kept open between two requests."""

MAX_WAITING: Final = 4_096
"""Both, of all addresses."""

SPARE_FILES: Final = 64
"""Open files of a process beside its connections."""
