"""A call that is cancelled never gives its answer to another caller: Redis and HTTP over a slow line, and SQLite.

Older clients returned the reply of a cancelled command to the next one. Every answer here names its
question, and 500 calls are cancelled at random moments while the answer is on its way.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.stored_turn import StoredTurn
from dialog_redis.client import RedisClient, RedisUnavailable
from service_runtime.http.service_client import ServiceClient
from service_runtime.testing.local_server import serving

CALLS = 500
DELAY_S = 0.004
"""Time that an answer is on its way; calls are cancelled before, in and after it."""

Ask = Callable[[int], Awaitable[int]]


@asynccontextmanager
async def slow_line(host: str, port: int) -> AsyncIterator[int]:
    """Yield the port of a proxy that passes on every answer a little later."""
    writers: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        writers.update((writer, far_writer))

        async def forth() -> None:
            while data := await reader.read(65_536):
                far_writer.write(data)
            far_writer.close()

        async def back() -> None:
            while data := await far_reader.read(65_536):
                await asyncio.sleep(DELAY_S)
                writer.write(data)
            writer.close()

        with suppress(OSError):
            await asyncio.gather(forth(), back())

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        for writer in writers:
            writer.transport.abort()


async def ask_all(ask: Ask, seed: int) -> None:
    """Ask, and cancel two thirds of the calls; every answer must be that of its question."""
    chance = random.Random(seed)
    answered = 0
    for first in range(0, CALLS, 5):
        tasks = {number: asyncio.ensure_future(ask(number)) for number in range(first, first + 5)}
        for task in tasks.values():
            if chance.random() < 0.66:
                await asyncio.sleep(chance.random() * DELAY_S * 0.7)
                task.cancel()
        await asyncio.wait(tasks.values())
        for number, task in tasks.items():
            if task.cancelled() or isinstance(task.exception(), RedisUnavailable):
                continue
            assert task.result() == number, "the answer of another call"
            answered += 1
    assert answered > CALLS // 10


@pytest.mark.parametrize("seed", range(2))
async def test_redis(url: str, seed: int) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with slow_line(parts.hostname, parts.port) as port:
        client = RedisClient(f"redis://127.0.0.1:{port}/0", timeout_s=5)

        async def ask(number: int) -> int:
            async def work(redis: Redis) -> int:
                return int(await redis.eval("return ARGV[1]", 0, str(number)))

            return await client.call("test", work)

        await ask_all(ask, seed)
        await client.aclose()


@pytest.mark.parametrize("seed", range(2))
async def test_http(seed: int) -> None:
    async def echo(request: Request) -> Response:
        return JSONResponse({"number": int(request.query_params["n"])})

    async with (
        serving(Starlette(routes=[Route("/echo", echo)])) as upstream,
        slow_line("127.0.0.1", upstream) as port,
    ):
        client = ServiceClient(f"http://127.0.0.1:{port}", connections_max=3)
        await client.open()

        async def ask(number: int) -> int:
            async with await client.request("GET", f"/echo?n={number}") as answer:
                return int((await answer.json())["number"])

        await ask_all(ask, seed)
        await client.aclose()


@pytest.mark.parametrize("seed", range(2))
async def test_sqlite(tmp_path: Path, seed: int) -> None:
    file = database(tmp_path / "engine.db")
    await file.open()
    memory = ShortTermMemory(file)

    async def ask(number: int) -> int:
        stored = StoredTurn("s", number + 1, "q", str(number), 1)
        await memory.commit(stored)
        found = await memory.find("s", number + 1)
        assert found is not None
        return int(found.reply)

    await ask_all(ask, seed)
    await file.close()
