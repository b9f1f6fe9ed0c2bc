"""Answers of the legacy chain through a real Redis to real sockets, with two output-handlers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from dialog_contracts import binary, redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start, Stop
from dialog_contracts.legacy_chain import TaskResponse
from dialog_redis.blob_store import BlobStore
from output_handler.app import build
from output_handler.settings import OutputSettings
from output_handler.testing.fake_legacy import response, wav
from service_runtime.testing.local_server import serving

OLDER, NEWER = None, Subprotocol("vtuber.v2.bin")


@dataclass
class Replicas:
    """Two output-handlers at one Redis, which is empty at first."""

    ports: list[int]
    redis: "Redis"
    blobs: BlobStore

    def viewer(
        self, dialect: Subprotocol | None, at: int = 0, session: str = "live-001"
    ) -> connect:
        protocols = None if dialect is None else [dialect]
        url = f"ws://127.0.0.1:{self.ports[at]}/ws/output/{session}"
        return connect(url, subprotocols=protocols, compression=None, proxy=None)

    async def say(self, response: TaskResponse) -> None:
        """As a work list does it for `effects.answer`."""
        async with self.redis.pipeline(transaction=True) as together:
            together.hset(
                redis_names.responses(response.task_id), response.message_id, response.to_json()
            )
            together.expire(redis_names.responses(response.task_id), redis_names.RESPONSE_TTL_S)
            together.publish(redis_names.task_response(response.task_id), response.to_json())
            await together.execute()

    async def until_heard(self, message_id: str) -> None:
        async with asyncio.timeout(5):
            while not await self.redis.sismember(redis_names.delivered("live-001"), message_id):
                await asyncio.sleep(0.01)


@pytest.fixture
async def replicas(url: str, redis: "Redis") -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        settings = OutputSettings(redis_url=url, linger_s=0.1)
        ports = [await stack.enter_async_context(serving(build(settings))) for _ in range(2)]
        blobs = BlobStore(url)
        stack.push_async_callback(blobs.aclose)
        yield Replicas(ports, redis, blobs)


async def frames(viewer: ClientConnection, last: str, within_s: float = 8.0) -> list[str | bytes]:
    """All frames up to one whose type, action or phase is `last`."""
    got: list[str | bytes] = []
    async with asyncio.timeout(within_s):
        while True:
            raw = await viewer.recv()
            got.append(raw)
            if isinstance(raw, str) and last in (
                (frame := json.loads(raw)).get("type"),
                frame.get("action"),
                frame.get("phase"),
                frame.get("status"),
            ):
                return got


async def test_every_viewer_of_every_replica_hears_an_answer(replicas: Replicas) -> None:
    async with (
        replicas.viewer(NEWER, 0) as one,
        replicas.viewer(NEWER, 1) as two,
        replicas.viewer(OLDER, 1) as older,
    ):
        await frames(one, "IDLE")
        await frames(two, "IDLE")
        voice = await replicas.blobs.put(wav(1_000))
        await replicas.say(response(1, blob=voice))
        for viewer in (one, two):
            got = await frames(viewer, "END")
            sound = b"".join(binary.unpack(raw).payload for raw in got if isinstance(raw, bytes))
            assert sound == wav(1_000)[44:]
        file = b"".join(
            raw for raw in await frames(older, "audio_complete") if isinstance(raw, bytes)
        )
        assert file == wav(1_000)
        await replicas.until_heard("live-001#1")
        assert await replicas.redis.ttl(redis_names.blob(voice)) <= redis_names.RELEASED_BLOB_TTL_S


async def test_an_answer_waits_for_a_late_subscriber_and_is_told_once(replicas: Replicas) -> None:
    await replicas.say(response(1, "早", blob=await replicas.blobs.put(wav(100))))
    await replicas.say(response(2, error="no model answers", code="llm_failed"))
    async with replicas.viewer(OLDER) as viewer:
        first = await frames(viewer, "error")
        assert {json.loads(raw).get("content") for raw in first if isinstance(raw, str)} == {
            "早",
            None,
        }
        await replicas.until_heard("live-001#1")
        await replicas.until_heard("live-001#2")
    for at in (0, 1):
        async with replicas.viewer(OLDER, at) as again, replicas.viewer(NEWER, at) as newer:
            await frames(newer, "IDLE")
            await replicas.say(response(3 + at, f"晚{at}"))
            assert [json.loads(raw)["content"] for raw in await frames(again, "success")] == [
                f"晚{at}"
            ]
            got = await frames(newer, "END")
            assert [json.loads(raw)["turn"] for raw in got if '"START"' in str(raw)] == [3 + at]
            await replicas.until_heard(f"live-001#{3 + at}")


@pytest.mark.parametrize("where", ["viewer", "control", "control of a replica without viewers"])
async def test_a_stop_silences_the_copies_of_all_replicas(replicas: Replicas, where: str) -> None:
    async with replicas.viewer(NEWER, 0) as one, replicas.viewer(NEWER, 0, "another") as other:
        await frames(one, "IDLE")
        await frames(other, "IDLE")
        second = (
            contextlib.nullcontext() if where.endswith("viewers") else replicas.viewer(NEWER, 1)
        )
        async with second as two:
            voice = await replicas.blobs.put(wav(2_000))
            interruptible = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
            for session in ("live-001", "another"):
                await replicas.say(response(1, blob=voice, session_id=session, flags=interruptible))
            await frames(one, "SPEAKING")
            if two is not None:
                await frames(two, "SPEAKING")
            await asyncio.sleep(0.2)
            if where == "viewer":
                await one.send(Stop(session_id="live-001", turn=1).to_json())
            else:
                async with httpx.AsyncClient() as http:
                    at = replicas.ports[1 if two is None else 0]
                    await http.post(
                        f"http://127.0.0.1:{at}/control/stop", json={"sessionId": "live-001"}
                    )
            for viewer in [one] if two is None else [one, two]:
                assert isinstance((await frames(viewer, "STOP_ACK", 2))[-1], str)
                with pytest.raises(TimeoutError):
                    await frames(viewer, "END", 0.3)
        assert await frames(other, "END"), "no other session is touched"


async def test_without_redis_the_main_path_works_and_readyz_says_so(tmp_path: Path) -> None:
    later = Store(tmp_path)
    app = build(OutputSettings(redis_url=later.url))
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(app))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        )
        replicas = Replicas(
            [port], Redis.from_url(later.url, decode_responses=True), BlobStore(later.url)
        )
        viewer = await stack.enter_async_context(replicas.viewer(NEWER))
        engine = await stack.enter_async_context(
            connect(f"ws://127.0.0.1:{port}/ws/ingest/tts", proxy=None)
        )
        await frames(viewer, "IDLE")
        await engine.recv()
        await engine.send(Start(session_id="live-001", turn=1, epoch=1, flags=FlagSet()).to_json())
        await frames(viewer, "THINKING")
        state = await http.get("/readyz")
        assert state.status_code == 200
        assert state.json()["details"]["redis"] != "ok"
        with later:
            async with asyncio.timeout(8):
                while (await http.get("/readyz")).json()["details"]["redis"] != "ok":
                    await asyncio.sleep(0.02)
            await replicas.say(response(2, blob=await replicas.blobs.put(wav(100))))
            await frames(viewer, "END")
            await replicas.redis.aclose()
            await replicas.blobs.aclose()
