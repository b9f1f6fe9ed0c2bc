"""A real server; frames are written as bytes."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from service_runtime.http import bounds
from service_runtime.testing.local_server import serving


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says everything back."""
    if scope["type"] != "websocket":
        return
    socket = WebSocket(scope, receive, send)
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        await socket.send_text(message.get("text") or "")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(app, ws_max_bytes=2**20) as made:
        yield made


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
    writer.write(
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


async def closed_with(reader: asyncio.StreamReader) -> int:
    """The code of the close frame that ends what comes."""
    async with asyncio.timeout(10):
        rest = await reader.read()
    at = rest.rfind(b"\x88")
    return int.from_bytes(rest[at + 2 : at + 4], "big")


async def well(port: int) -> bool:
    async with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
        await client.send("well")
        return await client.recv() == "well"


@pytest.mark.parametrize(
    "flood",
    [
        frame(Opcode.TEXT, fin=False) + frame(Opcode.CONT, fin=False) * 5_000,
        frame(Opcode.TEXT, b"x", fin=False) + frame(Opcode.CONT, b"x", fin=False) * 5_000,
        frame(Opcode.PING, b"x" * 100) * 5_000,
        frame(Opcode.PONG) * 5_000,
    ],
    ids=["empty fragments", "fragments", "pings", "pongs"],
)
async def test_a_flood_of_frames_that_are_no_messages_is_1008(port: int, flood: bytes) -> None:
    """Before: 8 s in which nobody else was served."""
    reader, writer = await opened(port)
    writer.write(flood)
    assert await closed_with(reader) == 1008
    writer.close()
    assert await well(port)


async def test_a_message_may_come_in_hundreds_of_frames_with_pings_between_them(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
        await client.send("x" for _ in range(bounds.FRAGMENTS - 2))
        await asyncio.wait_for(await client.ping(), 10)
        assert await client.recv() == "x" * (bounds.FRAGMENTS - 2)


async def test_thousands_of_whole_messages_are_the_endpoints_to_count(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
        for number in range(2_000):
            await client.send(str(number))
            assert await client.recv() == str(number)


async def test_answers_to_pings_that_nobody_takes_are_not_kept(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: 558 MB in 20 s. A client may ping as often as it likes, here.

    Of what it does not read only the last is kept.
    """
    monkeypatch.setattr(bounds, "FRAME_BURST", 10**9)
    reader, writer = await opened(port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = resident()
    for _ in range(3_000):
        writer.write(frame(Opcode.PING, b"x" * 125) * 100)
        await asyncio.sleep(0)
        if writer.transport.get_write_buffer_size() > 2**20:
            await asyncio.wait_for(writer.drain(), 20)
    assert resident() - before < 60 * 2**20
    writer.transport.abort()
    assert await well(port)


def resident() -> int:
    """Bytes of memory of this process, which is server and client."""
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_client_that_reads_is_told_the_code_and_the_limit(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.send("x" for _ in range(bounds.FRAGMENTS + 50))
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert str(bounds.FRAGMENTS) in closed.value.rcvd.reason


async def test_text_that_is_none_is_1007_and_no_error_of_ours(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Before: each such message printed a traceback."""
    for pieces in (
        [frame(Opcode.TEXT, b"\xff\xfe")],
        [frame(Opcode.TEXT, b"\xc3", fin=False), frame(Opcode.CONT, b"\x28")],
    ):
        reader, writer = await opened(port)
        writer.writelines(pieces)
        assert await closed_with(reader) == 1007
        writer.close()
    reader, writer = await opened(port)
    writer.write(frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONT, b"\xa4"))
    async with asyncio.timeout(10):
        assert await reader.readexactly(4) == b"\x81\x02\xc3\xa4"
    writer.close()
    assert not [record for record in caplog.records if record.exc_info]
