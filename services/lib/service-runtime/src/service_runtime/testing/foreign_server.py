"""A server that is not ours at a service's address.

It keeps its connections open and answers every request with 404.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

FOREIGN_RESPONSE: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
OUR_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)


@dataclass
class FlakyAddress:
    """An address whose first `foreign` connections reach a foreign server.

    They do so for as long as they live; later connections reach a service that answers `body`.
    """

    foreign: int
    body: bytes = b"{}"
    url: str = ""
    asked: list[int] = field(default_factory=list)
    """Number of requests on each connection."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        number = len(self.asked)
        self.asked.append(0)
        answer = (
            FOREIGN_RESPONSE
            if number < self.foreign
            else OUR_RESPONSE % (len(self.body), self.body)
        )
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(_length(head))
                self.asked[number] += 1
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def foreign_first(count: int, body: bytes = b"{}") -> AsyncIterator[FlakyAddress]:
    """Run a FlakyAddress on a free port of this machine."""
    address = FlakyAddress(count, body)
    server = await asyncio.start_server(address.serve, "127.0.0.1", 0)
    address.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield address
    server.close()


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)
