"""The whole service at a real Redis: a recording in, a transcript out."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from e2e.harness.recordings import webm
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from asr import app as module
from asr.app import build
from asr.decoder import RATE, Samples
from asr.recognizer import NullRecognizer, Transcript
from asr.settings import AsrSettings
from asr.streaming.frame_decoder import MAX_FRAME_BYTES
from dialog_contracts import redis_names
from dialog_contracts.input_socket import FROM_ASR, MicStart, MicStop, SpeechStarted, Utterance
from dialog_contracts.legacy_chain import AsrTask, AudioBlob
from dialog_redis.blob_store import BlobStore
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.testing.local_server import serving

pytestmark = pytest.mark.usefixtures("quick")

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
Ready = Callable[[int], Awaitable[dict[str, Any]]]


async def test_a_recording_becomes_a_transcript(
    url: str, redis: "Redis", until_ready: Ready
) -> None:
    async with serving(build(AsrSettings(redis_url=url))) as port:
        state = await until_ready(port)
        assert state["details"]["recognizer"] == "none"
        blobs = BlobStore(url)
        blob = AudioBlob(id=await blobs.put(webm(1.0)), format="webm")
        await redis.lpush(redis_names.ASR_TASKS, AsrTask(task_id="live-001", audio=blob).to_json())
        found = await redis.brpop([redis_names.ASR_FINALS], timeout=8)
        assert found is not None
        result = json.loads(found[1])
        assert (result["status"], result["task_id"]) == ("finished", "live-001")
        assert "1 seconds" in result["text"]
        assert await redis.ttl(redis_names.blob(blob.id)) <= redis_names.RELEASED_BLOB_TTL_S
        await redis.lpush(
            redis_names.ASR_TASKS,
            json.dumps({"task_id": "live-002", "audio": {"type": "file", "path": "/x"}}),
        )
        async with asyncio.timeout(8):
            while not (kept := await redis.hvals(redis_names.responses("live-002"))):
                await asyncio.sleep(0.01)
        assert json.loads(kept[0])["metadata"]["code"] == "bad_audio"
        await blobs.aclose()


async def test_it_starts_without_redis_and_says_so(no_url: str, until_ready: Ready) -> None:
    async with serving(build(AsrSettings(redis_url=no_url))) as port:
        state = await until_ready(port)
        assert state["details"]["redis"] != "ok"


async def test_without_models_a_microphone_is_heard_and_both_say_so(
    no_url: str, until_ready: Ready
) -> None:
    at = np.arange(2 * RATE) / RATE
    # A voice's pitch and its overtones.
    voice = np.sum([np.sin(2 * np.pi * 140 * n * at) / n for n in range(1, 9)], axis=0) * 6_000
    sound = np.concatenate([np.zeros(RATE), voice, np.zeros(RATE)]).astype("<i2")
    async with serving(build(AsrSettings(redis_url=no_url)), ws_max_bytes=MAX_FRAME_BYTES) as port:
        state = await until_ready(port)
        assert set(state["details"]["microphones"]["heard_with"].values()) == {"stand_in"}
        async with connect(f"ws://127.0.0.1:{port}/ws/asr") as socket:
            start = MicStart(session_id="live-001", format="pcm_s16le", sample_rate=RATE, lang="en")
            await socket.send(start.to_json())
            for frame in np.array_split(sound, 200):
                await socket.send(frame.tobytes())
            began, said = [
                FROM_ASR.validate_json(await asyncio.wait_for(socket.recv(), 8)) for _ in range(2)
            ]
            await socket.send(MicStop().to_json())
            with pytest.raises(ConnectionClosedOK):
                await asyncio.wait_for(socket.recv(), 8)
    assert isinstance(began, SpeechStarted)
    assert abs(began.at_ms - 1_000) <= 64
    assert isinstance(said, Utterance)
    assert "No speech model is installed" in said.text
    assert abs(said.end_ms - 3_000) <= 64


class Slow(NullRecognizer):
    """A model that fails once, and is loaded when its volume is there."""

    name = "slow"
    tries = 0

    def __init__(self) -> None:
        self.volume = asyncio.Event()

    async def warm(self) -> None:
        self.tries += 1
        if self.tries == 1:
            raise RuntimeError("the volume is not there yet")
        await self.volume.wait()

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        return Transcript("x", "en")


async def test_it_is_ready_only_when_the_model_is(
    no_url: str, get: Get, until_ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, keep = Slow(), BackgroundTasks.run_forever
    monkeypatch.setattr(module, "choose", lambda _: slow)
    # A second lies between two tries otherwise.
    monkeypatch.setattr(
        BackgroundTasks, "run_forever", lambda *task, **how: keep(*task, **{**how, "pause_s": 0.01})
    )
    async with serving(build(AsrSettings(redis_url=no_url))) as port:
        status, state = await get(port, "/readyz")
        assert (status, state["reasons"]) == (503, ["recognizer: slow is being loaded"])
        slow.volume.set()
        assert (await until_ready(port))["details"]["recognizer"] == "slow"
        assert slow.tries == 2
