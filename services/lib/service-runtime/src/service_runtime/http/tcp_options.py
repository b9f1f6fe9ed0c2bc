"""How much of what we send a peer may leave unread, and for how long: what the kernel would keep for it, beside our own queues.

Left to itself a kernel keeps megabytes for a connection, a minute of speech: whoever reads too slowly would hear of a conversation that is
long over, and whoever reads nothing at all would keep its connection for a quarter of an hour after we have given it up.
"""

import socket
from typing import Final

UNACKED_TIMEOUT_S: Final = 30
"""A peer that has taken nothing for so long is gone, even if its machine is there."""

MAX_UNSENT_BYTES: Final = 32 * 1024
"""Half a second of speech in JSON; more waits in our own queues, where it can be dropped."""

MAX_UNREAD_BYTES: Final = 64 * 1024


def limit_send_buffer(listening: socket.socket) -> None:
    """For every connection that this socket accepts."""
    # macOS knows no TCP_USER_TIMEOUT, and its Python may know neither: there TCP's own patience has to do.
    for name, value in (
        ("TCP_NOTSENT_LOWAT", MAX_UNSENT_BYTES),
        ("TCP_USER_TIMEOUT", UNACKED_TIMEOUT_S * 1000),
    ):
        if (option := getattr(socket, name, None)) is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def limit_receive_buffer(connection: socket.socket) -> None:
    """For a connection that is only passed on: what its other end cannot take stays with the sender."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_UNREAD_BYTES)
