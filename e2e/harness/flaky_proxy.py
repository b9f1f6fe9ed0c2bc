"""A line between a page and the gateway that can be cut.

Its connections really end, and new ones fail, until it is mended.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READ_BYTES = 65_536


class Line:
    """Passes bytes on, unread but for the mark at which it is to break.

    `url` is what a page has to be opened with.
    """

    def __init__(self, url: str, port: int) -> None:
        parts = urlsplit(url)
        self.url = f"http://127.0.0.1:{port}"
        self.broken = asyncio.Event()
        self._host, self._port = parts.hostname, parts.port
        self._ends: set[asyncio.StreamWriter] = set()
        self._mark, self._left = b"", 0

    def cut(self) -> None:
        """Now: what is on its way is lost."""
        self.broken.set()
        for end in self._ends:
            end.transport.abort()

    def cut_at(self, mark: bytes, times: int) -> None:
        """Before this appears for the `times`th time in what the gateway says, in the middle of a frame; `broken` tells when."""
        self._mark, self._left = mark, times

    def mend(self) -> None:
        """Whoever calls again comes through."""
        self.broken.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if self.broken.is_set():
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            await asyncio.gather(
                self._pass(reader, far_writer), self._pass(far_reader, writer, marked=True)
            )
        finally:
            self._ends -= ends
            for end in ends:
                end.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, marked: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while (data := await reader.read(READ_BYTES)) and not self.broken.is_set():
                before = self._before_mark(data) if marked and self._left else data
                writer.write(before)
                await writer.drain()
                if len(before) < len(data):
                    self.cut()
        writer.close()

    def _before_mark(self, data: bytes) -> bytes:
        """All of it, or what stands before the last occurrence that is let pass.

        A mark that two reads share is missed.
        """
        at = -1
        while self._left and (at := data.find(self._mark, at + 1)) >= 0:
            self._left -= 1
        return data if self._left or at < 0 else data[:at]


@asynccontextmanager
async def line(url: str) -> AsyncIterator[Line]:
    """A line to the gateway at `url`."""
    carried: Line | None = None

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert carried is not None
        await carried.carry(reader, writer)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    carried = Line(url, server.sockets[0].getsockname()[1])
    try:
        yield carried
    finally:
        server.close()
        carried.cut()
