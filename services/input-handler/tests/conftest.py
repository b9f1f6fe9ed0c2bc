import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from input_handler.testing.scripted_engine import ScriptedEngine
from service_runtime.redis_link import RedisLink
from service_runtime.testing.local_server import serving
from vtuber_cli import ports, valkey


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey for all tests of this package; each test takes a session of its own."""
    port = ports.free()
    command = valkey.command(tmp_path_factory.mktemp("valkey"), port)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not ports.busy(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=5)


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(valkey_url, timeout_s=2)
    await link.client.flushall()
    yield link
    await link.aclose()


@pytest.fixture
def no_redis_url() -> str:
    return f"redis://127.0.0.1:{ports.free()}/0"


@pytest.fixture
async def no_redis(no_redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(no_redis_url)
    yield link
    await link.aclose()


@pytest.fixture
async def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def engine_url(engine: ScriptedEngine) -> AsyncIterator[str]:
    async with serving(engine) as port:
        yield f"http://127.0.0.1:{port}"
        await asyncio.sleep(0)
