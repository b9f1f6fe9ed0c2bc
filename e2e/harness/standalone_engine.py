"""One engine process with a real Valkey, and this process in output-handler's place."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from dialog_contracts.ingest import Heartbeat, Subscribe
from e2e.harness.stack import environment
from vtuber_cli import ports, valkey

ALIVE = Heartbeat().to_json()
FLAGS = {"ENABLE_SYNC_CORE": True, "SYNC_TTS_STREAMING": True, "SYNC_TTS_BARGE_IN": True}


@dataclass
class EngineAlone:
    """`frames` holds what the engine sent down its ingest socket, as text; `send` answers on it."""

    url: str
    pid: int = 0
    frames: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    socket: ServerConnection | None = None

    def send(self, frame: str) -> None:
        assert self.socket is not None
        self.tasks.append(asyncio.ensure_future(self.socket.send(frame)))

    tasks: "list[asyncio.Future[None]]" = field(default_factory=list)

    async def subscribe(self, session_id: str) -> None:
        assert self.socket is not None
        await self.socket.send(Subscribe(action="SUBSCRIBE", session_id=session_id).to_json())
        await asyncio.sleep(0.005)


class RawCaller:
    """POST /chat/stream over one kept connection with nothing in between, so that the bench times the engine and not a client library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> "RawCaller":
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    def send(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        head = f"POST /chat/stream HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self._writer.write(head.encode() + data)

    async def finish(self) -> bytes:
        """The whole answer."""
        return await self._reader.readuntil(b"0\r\n\r\n")

    def close(self) -> None:
        self._writer.close()


def body(
    session_id: str, turn: int, content: str = "how are you today?", **meta: Any
) -> dict[str, Any]:
    return {
        "sessionId": session_id,
        "turn": turn,
        "content": content,
        "meta": {"lang": "en", "flags": FLAGS, **meta},
    }


@asynccontextmanager
async def running(
    data: Path, env: Mapping[str, str], *, with_redis: bool = True
) -> AsyncIterator[EngineAlone]:
    data.mkdir(parents=True, exist_ok=True)
    redis_port, port = ports.free(), ports.free()
    engine = EngineAlone(f"http://127.0.0.1:{port}")

    async def ingest(socket: ServerConnection) -> None:
        engine.socket = socket
        with suppress(ConnectionClosed):
            async for frame in socket:
                assert isinstance(frame, str)
                if frame != ALIVE:
                    engine.frames.put_nowait(frame)

    started: list[subprocess.Popen[bytes]] = []
    async with serve(ingest, "127.0.0.1", 0, compression=None, max_size=None) as server:
        try:
            if with_redis:
                (data / "valkey").mkdir(exist_ok=True)
                started.append(
                    subprocess.Popen(
                        valkey.command(data / "valkey", redis_port), stdout=subprocess.DEVNULL
                    )
                )
            own = {
                "PORT": str(port),
                "HOST": "127.0.0.1",
                "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
                "DIALOG_ENGINE_DB": str(data / "engine.db"),
                "OUTPUT_INGEST_URLS": f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws/ingest/tts",
            }
            with (data / "engine.log").open("a") as log:
                command = [sys.executable, "-m", "dialog_engine"]
                started.append(
                    subprocess.Popen(
                        command, env=environment({**env, **own}), stdout=log, stderr=log
                    )
                )
            engine.pid = started[-1].pid
            await _ready(engine, started[-1], data / "engine.log")
            yield engine
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                await asyncio.to_thread(process.wait, 10)


async def _ready(engine: EngineAlone, process: subprocess.Popen[bytes], log: Path) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError(log.read_text()[-3000:])
            try:
                async with http.get(f"{engine.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the engine is not ready: {json.dumps(log.read_text()[-2000:])}")
