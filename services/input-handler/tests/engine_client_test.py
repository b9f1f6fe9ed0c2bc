import asyncio
from collections.abc import AsyncIterator

import pytest

from dialog_contracts.http import ChatRequest
from input_handler.engine_client import EngineClient
from input_handler.errors import EngineFailed

STRANGER = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"


@pytest.fixture
async def connections() -> AsyncIterator[tuple[str, list[int]]]:
    """A web server that is no engine and keeps its connections; how many requests each of them brought."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(0)
        number = len(seen) - 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            seen[number] += 1
            writer.write(STRANGER)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    server.close()


async def test_a_stranger_in_the_engines_place_is_not_asked_twice_over_one_connection(
    connections: tuple[str, list[int]],
) -> None:
    url, seen = connections
    client = EngineClient(url)
    await client.open()
    for _ in range(3):
        with pytest.raises(EngineFailed, match="status_404"):
            async with client.stream(ChatRequest(session_id="s", turn=1, content="hi"), None, None, accepted_within_s=2):
                raise AssertionError
    await client.aclose()
    assert seen == [1, 1, 1]
