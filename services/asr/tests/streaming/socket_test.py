"""`/ws/asr` as input-handler sees it: a real socket, and senses that follow a script."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from asr.recognizer import NullRecognizer
from asr.streaming import socket as module
from asr.streaming.frame_decoder import MAX_FRAME_BYTES
from asr.streaming.socket import MAX_BAD_FRAMES, MicrophoneServer
from asr.testing.scripted_backends import ScriptedEndOfTurn, ScriptedRecognizer, backends, sound
from dialog_contracts.input_socket import FROM_ASR
from dialog_telemetry import metrics
from service_runtime.testing.local_server import serving

START = json.dumps(
    {
        "type": "MIC_START",
        "sessionId": "live-001",
        "format": "pcm_s16le",
        "sampleRate": 16000,
        "frameMs": 20,
    }
)
STOP = json.dumps({"type": "MIC_STOP"})


@pytest.fixture
def desk() -> Iterator[MicrophoneServer]:
    recognizer, judge = ScriptedRecognizer(), ScriptedEndOfTurn()
    recognizer.takes_s = judge.takes_s = 0.0
    made = MicrophoneServer(2)
    made.backends = backends(recognizer, judge)
    yield made
    assert made.open == 0


@asynccontextmanager
async def dialled(desk: MicrophoneServer) -> AsyncIterator[str]:
    app = Starlette(routes=[WebSocketRoute("/ws/asr", desk.serve)])
    async with serving(app, ws_max_bytes=MAX_FRAME_BYTES) as port:
        yield f"ws://127.0.0.1:{port}/ws/asr"
        async with asyncio.timeout(5):
            while desk.open:
                await asyncio.sleep(0.005)


async def rest(socket: ClientConnection) -> list[Any]:
    """What else it says, until it closes."""
    found = []
    async with asyncio.timeout(5):
        try:
            while True:
                found.append(FROM_ASR.validate_json(await socket.recv()))
        except ConnectionClosed:
            return found


async def code(socket: ClientConnection) -> str:
    async with asyncio.timeout(5):
        return str(json.loads(await socket.recv())["code"])


async def test_what_is_said_comes_back_and_then_the_socket_closes(desk: MicrophoneServer) -> None:
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        for level in (0, 0.5, 0.5, 0):
            await socket.send(sound(1_000, level))
        told = [FROM_ASR.validate_json(await socket.recv())]
        while told[-1].type != "UTTERANCE":
            told.append(FROM_ASR.validate_json(await socket.recv()))
        await socket.send(sound(1_000, 0.5))
        await socket.send(STOP)
        told += await rest(socket)
    assert [frame.type for frame in told if frame.type != "PARTIAL"] == [
        "SPEECH_STARTED",
        "UTTERANCE",
    ] * 2
    assert told[-1].text.startswith("word")
    assert socket.close_code == 1000


@pytest.mark.parametrize(
    ("first", "refused"),
    [
        (b"\0\0", "no_start"),
        (STOP, "no_start"),
        ("{", "invalid"),
        ('{"type": "TEXT"}', "invalid"),
        (START.replace("16000", "7999"), "invalid"),
        (START.replace("live-001", "../etc"), "invalid"),
        (START.replace("pcm_s16le", "mp3"), "invalid"),
        (START.replace("pcm_s16le", "opus").replace("16000", "44100"), "unsupported_rate"),
    ],
)
async def test_who_does_not_begin_with_a_start_is_told_and_let_go(
    desk: MicrophoneServer, first: Any, refused: str
) -> None:
    before = metrics.REQUESTS_REJECTED.labels(code=refused)._value.get()
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(first)
        (error,) = await rest(socket)
    assert (error.code, socket.close_code) == (refused, 1008)
    assert metrics.REQUESTS_REJECTED.labels(code=refused)._value.get() == before + 1


async def test_who_says_nothing_is_let_go(
    desk: MicrophoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.05)
    async with dialled(desk) as url, connect(url) as socket:
        (error,) = await rest(socket)
    assert (error.code, socket.close_code) == ("no_start", 1008)


async def test_bad_frames_are_refused_one_by_one_and_the_microphone_stays(
    desk: MicrophoneServer,
) -> None:
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        for bad, refused in (
            (b"x", "odd_pcm"),
            (bytes(32_002), "too_large"),
            (START, "already_started"),
            ("[]", "invalid"),
        ):
            await socket.send(bad)
            assert await code(socket) == refused
        await socket.send(sound(1_000, 0.5))
        await socket.send(STOP)
        assert [frame.type for frame in await rest(socket)][-1] == "UTTERANCE"


async def test_too_many_bad_frames_end_it(desk: MicrophoneServer) -> None:
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        for _ in range(MAX_BAD_FRAMES):
            await socket.send(b"x")
        assert len(await rest(socket)) == MAX_BAD_FRAMES
    assert socket.close_code == 1008


async def test_a_flood_is_refused_and_then_closed(desk: MicrophoneServer) -> None:
    second = sound(1_000, 0)
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        reading = asyncio.create_task(rest(socket))
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.send(second)
                await asyncio.sleep(0)
        told = await reading
    assert {frame.code for frame in told} == {"microphone_too_fast"}
    assert len(told) == MAX_BAD_FRAMES
    assert socket.close_code == 1008


async def test_a_frame_over_all_limits_closes_at_once(desk: MicrophoneServer) -> None:
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        await socket.send(bytes(MAX_FRAME_BYTES + 2))
        assert await rest(socket) == []
    assert socket.close_code == 1009


async def test_one_microphone_too_many_is_told_so_and_has_a_place_when_another_leaves(
    desk: MicrophoneServer,
) -> None:
    async with dialled(desk) as url, connect(url) as one, connect(url) as two:
        for socket in (one, two):
            await socket.send(START)
            await socket.send(b"x")
            assert await code(socket) == "odd_pcm"
        async with connect(url) as third:
            (error,) = await rest(third)
        assert (error.code, third.close_code) == ("too_many_microphones", 1013)
        await one.close()
        async with asyncio.timeout(5):
            while desk.open == 2:
                await asyncio.sleep(0.005)
        async with connect(url) as third:
            await third.send(START)
            await third.send(b"x")
            assert await code(third) == "odd_pcm"


async def test_who_comes_before_the_models_comes_again(desk: MicrophoneServer) -> None:
    desk.backends = None
    async with dialled(desk) as url, connect(url) as socket:
        (error,) = await rest(socket)
    assert (error.code, socket.close_code) == ("asr_not_ready", 1013)


async def test_who_leaves_in_the_middle_leaves_nothing_behind(desk: MicrophoneServer) -> None:
    recognizer = ScriptedRecognizer()
    recognizer.takes_s = 3_600
    desk.backends = backends(recognizer, None)
    async with dialled(desk) as url:
        for stops in (False, True):
            async with connect(url) as socket:
                await socket.send(START)
                await socket.send(sound(1_000, 0.5))
                assert json.loads(await socket.recv())["type"] == "SPEECH_STARTED"
                if stops:
                    await socket.send(STOP)
            async with asyncio.timeout(5):
                while desk.open:
                    await asyncio.sleep(0.005)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ("judge", "watch")]


async def test_an_error_of_ours_is_logged_counted_and_closes(desk: MicrophoneServer) -> None:
    class Broken(NullRecognizer):
        async def transcribe_utterance(self, *_: object) -> Any:
            raise LookupError("a bug")

    desk.backends = backends(Broken(), None)
    before = metrics.TASK_CRASHES.labels(task="microphone")._value.get()
    async with dialled(desk) as url, connect(url) as socket:
        await socket.send(START)
        await socket.send(sound(1_000, 0.5))
        await socket.send(STOP)
        assert [frame.type for frame in await rest(socket)] == ["SPEECH_STARTED"]
    assert socket.close_code == 1011
    assert metrics.TASK_CRASHES.labels(task="microphone")._value.get() == before + 1
