"""A peer that reads nothing, over a real connection.

How much it keeps waiting, and for how long.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service_runtime.http import tcp_options
from service_runtime.testing.local_server import serving

PIECE = b"x" * 4096
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Speaker:
    """Sends for ever; what was taken of it, by whomever."""

    def __init__(self) -> None:
        self.sent = 0
        self.over = asyncio.Event()
        self.app = Starlette(routes=[WebSocketRoute("/", self._speak)])

    async def _speak(self, peer: WebSocket) -> None:
        await peer.accept()
        try:
            while True:
                await peer.send_bytes(PIECE)
                self.sent += len(PIECE)
        finally:
            self.over.set()


@contextmanager
def silent(port: int) -> Iterator[socket.socket]:
    """A peer whose machine takes a few kB."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", port))
        peer.sendall(HANDSHAKE)
        yield peer


async def stands_still(speaker: Speaker) -> int:
    before = -1
    while before != speaker.sent or not before:
        before = speaker.sent
        await asyncio.sleep(0.3)
    return before


async def test_for_a_peer_that_reads_nothing_little_is_kept() -> None:
    speaker = Speaker()
    async with serving(speaker.app) as port:
        with silent(port):
            # What the kernel holds unsent, the peer's own buffer, and up to 64 kB that asyncio
            # takes before it says stop.
            assert (
                await stands_still(speaker) < tcp_options.MAX_UNSENT_BYTES + 64 * 1024 + 64 * 1024
            )


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="of Linux")
async def test_a_peer_that_reads_nothing_for_too_long_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_options, "UNACKED_TIMEOUT_S", 1)
    speaker = Speaker()
    async with serving(speaker.app) as port:
        with silent(port) as peer:
            await stands_still(speaker)
            async with asyncio.timeout(15):
                await speaker.over.wait()
            peer.settimeout(5)
            with pytest.raises(ConnectionResetError):
                while peer.recv(65_536):
                    pass


async def test_a_connection_that_is_passed_on_takes_little_before_it_is_read() -> None:
    speaker = Speaker()
    async with serving(speaker.app) as port:
        with socket.socket() as peer:
            peer.connect(("127.0.0.1", port))
            tcp_options.limit_receive_buffer(peer)
            peer.sendall(HANDSHAKE)
            assert (
                await stands_still(speaker)
                < tcp_options.MAX_UNSENT_BYTES + 64 * 1024 + 4 * tcp_options.MAX_UNREAD_BYTES
            )
