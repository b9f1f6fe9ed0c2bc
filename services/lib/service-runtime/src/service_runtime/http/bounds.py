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

HEAD_WITHIN_S: Final = 10.0
"""From the connection, or the first byte of a later request, to the end of its head; then 408."""

BODY_WITHIN_S: Final = 20.0
"""From the end of the head to the end of the body, which has at most 64 kB; then 408."""

HEARD_OUT_S: Final = 1.0
"""Whoever was refused is listened to for so long: closed with bytes unread, a connection is reset, and the refusal may be lost with it."""

GONE_AFTER_S: Final = 3.0
"""… and then it is gone, whether it has read the refusal or not."""

HEARD_OUT_BYTES: Final = 4 * 1024 * 1024

FRAMES_AT_ONCE: Final = 600
FRAMES_A_SECOND: Final = 300
"""WebSocket frames of a client, those that are parts of a message and pings included. A microphone sends 50 a second, an upload 400."""

FRAGMENTS: Final = 512
"""Frames that one message may come in. Browsers send one, or one for each 128 kB."""

WAITING_AN_ADDRESS: Final = 64
"""Connections of one address that have had no request, or half of one, for longer than `YOUNG_S`; the oldest goes when another comes.
A browser opens 6."""

YOUNG_S: Final = 1.0
"""Many that connect at once, and then all say what they want, are no flood."""

READ_WITHIN_S: Final = 0.05
"""What a socket holds is read within this time by a process that runs."""

CONNECTING_AN_ADDRESS: Final = 512
"""… and so many with those that are younger."""

KEPT_AN_ADDRESS: Final = 256
"""Connections of one address that are kept open between two requests."""

WAITING: Final = 4_096
"""Both, of all addresses."""

FILES_SPARE: Final = 64
"""Open files of a process beside its connections."""
