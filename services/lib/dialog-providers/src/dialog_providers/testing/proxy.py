"""A small HTTP proxy for tests.

It forwards requests with an absolute URL, tunnels CONNECT, and records the requests.
"""

import asyncio
from contextlib import suppress
from typing import Final, Self
from urllib.parse import urlsplit

HEAD_WITHIN_S: Final = 5.0


class Proxy:
    """`async with Proxy() as proxy: … proxy.address`.

    With `elsewhere` ((host, port)) every request is forwarded there.
    """

    def __init__(self, *, elsewhere: tuple[str, int] | None = None) -> None:
        self.address = ""
        self.asked: list[str] = []
        """One line per connection: `CONNECT host:port` or `GET http://…`."""
        self._elsewhere = elsewhere
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        # Closed and not cancelled: asyncio logs an error when a connection's task is cancelled.
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(HEAD_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            method, target, version = line.decode("latin-1").split(" ")
            self.asked.append(f"{method} {target}")
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            host, port = self._elsewhere or (parts.hostname or "", parts.port or 80)
            out_reader, out_writer = await asyncio.open_connection(host, port)
            self._writers.add(out_writer)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = target.partition("//")[2].partition("/")[2]
                out_writer.write(f"{method} /{path} {version}\r\n".encode("latin-1") + rest)
            await asyncio.gather(_pipe(reader, out_writer), _pipe(out_reader, writer))


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
