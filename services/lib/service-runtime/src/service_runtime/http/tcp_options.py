"""Bounds what the kernel buffers of a connection, and for how long, beside our own queues.

By default a kernel buffers megabytes for a connection, which is a minute of speech. A slow client
would then play outdated audio, and an unresponsive client would keep its connection for 15 minutes
after we closed it.
"""

import socket
from typing import Final

UNACKED_TIMEOUT_S: Final = 30
"""Seconds after which a peer that has acknowledged no data is dropped, even if it is reachable."""

MAX_UNSENT_BYTES: Final = 32 * 1024
"""Half a second of speech in JSON; more waits in our own queues, where it can be dropped."""

MAX_UNREAD_BYTES: Final = 64 * 1024


def limit_send_buffer(listening: socket.socket) -> None:
    """Limit the send buffer of every connection that this socket accepts."""
    # macOS has no TCP_USER_TIMEOUT, and its Python may not define it: TCP's own timeout applies
    # there.
    for name, value in (
        ("TCP_NOTSENT_LOWAT", MAX_UNSENT_BYTES),
        ("TCP_USER_TIMEOUT", UNACKED_TIMEOUT_S * 1000),
    ):
        if (option := getattr(socket, name, None)) is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def limit_receive_buffer(connection: socket.socket) -> None:
    """Limit the receive buffer of a connection that is only forwarded.

    What the other end cannot accept then stays with the sender.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_UNREAD_BYTES)
