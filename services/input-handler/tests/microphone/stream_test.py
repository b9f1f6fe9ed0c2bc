"""A microphone through the whole service.

A client's frames, an asr that follows a script, an output-handler that notes what it is told.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dialog_contracts import limits
from dialog_contracts.http import TurnType
from dialog_telemetry import metrics
from input_handler.app import build
from input_handler.settings import InputSettings
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
)
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

FRAME = bytes(640)
START = {
    "type": "MIC_START",
    "sessionId": "live-001",
    "format": "pcm_s16le",
    "sampleRate": 16000,
    "frameMs": 20,
}


@dataclass
class Asr:
    """What it was sent, and what it says."""

    texts: list[dict[str, Any]] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    sockets: list[ServerConnection] = field(default_factory=list)

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    self.audio += message
                else:
                    self.texts.append(json.loads(message))
                    if self.texts[-1]["type"] == "MIC_STOP":
                        return
        except ConnectionClosed:
            return

    async def says(self, **frame: Any) -> None:
        await self.sockets[-1].send(json.dumps(frame))


@dataclass
class Output:
    """Answers as output-handler does; `sounding`: whether there is anything to pause."""

    sounding: bool = True
    status: int = 202
    told: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        body = await request.json()
        named = {} if verb == "pause" else {"turn": 7}
        assert body == {"sessionId": "live-001", "reason": "speech", **named}
        self.told.append(verb)
        done = self.sounding
        if verb == "stop":
            self.sounding = False
        more = {"turn": 7} if verb == "pause" and done else {}
        return JSONResponse(
            {"ok": True, "stopped" if verb == "stop" else "held": done, **more}, self.status
        )


@dataclass
class House:
    """The client's socket, and who is around it."""

    socket: ClientConnection
    asr: Asr
    output: Output
    frames: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    async def on(self) -> None:
        await self.socket.send(json.dumps(START))
        await self.until(lambda: self.asr.texts)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]


@pytest.fixture
async def house(engine: ScriptedEngine, engine_url: str, no_redis_url: str) -> AsyncIterator[House]:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    asr, output = Asr(), Output()
    app = Starlette(routes=[Route("/control/{verb}", output.answer, methods=["POST"])])
    async with serve(asr, "127.0.0.1", 0) as server, serving(app) as output_port:
        settings = InputSettings(
            dialog_engine_url=engine_url,
            redis_url=no_redis_url,
            asr_url=f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws/asr",
            output_handler_url=f"http://127.0.0.1:{output_port}",
        )
        async with (
            serving(build(settings), ws_max_bytes=limits.MAX_BINARY_FRAME_BYTES) as port,
            _dialled(port) as socket,
        ):
            made = House(socket, asr, output)
            reading = asyncio.create_task(_read(made))
            yield made
            reading.cancel()


def _dialled(port: int) -> connect:
    url = f"ws://127.0.0.1:{port}/ws/input?sessionId=live-001"
    return connect(url, subprotocols=[Subprotocol("vtuber.v2")], compression=None, proxy=None)


async def _read(house: House) -> None:
    async for message in house.socket:
        house.frames.append(json.loads(message))


async def test_what_is_said_becomes_a_turn_and_its_client_sees_it_come(
    house: House, engine: ScriptedEngine
) -> None:
    house.output.sounding = False
    await house.on()
    assert house.asr.texts[0] == START
    for _ in range(10):
        await house.socket.send(FRAME)
    await house.until(lambda: len(house.asr.audio) == 6400)
    await house.asr.says(type="SPEECH_STARTED", atMs=40)
    await house.asr.says(type="PARTIAL", text="今晚", speechMs=300)
    await house.asr.says(type="UTTERANCE", text="今晚玩什么？", lang="zh", startMs=40, endMs=900)
    await house.until(lambda: any(frame.get("event") == "done" for frame in house.of("TURN_EVENT")))
    assert [frame["type"] for frame in house.frames[1:5]] == [
        "SPEECH_STARTED",
        "PARTIAL",
        "FINAL",
        "TURN_EVENT",
    ]
    assert house.of("FINAL") == [{"type": "FINAL", "text": "今晚玩什么？", "turn": 1}]
    (request,) = engine.requests
    assert (request.type, request.content, request.meta.lang) == (
        TurnType.ASR_FINAL,
        "今晚玩什么？",
        "zh",
    )
    assert request.meta.request_id == house.of("TURN_EVENT")[0]["requestId"]
    assert house.output.told == ["pause"]


async def test_words_stop_what_sounds_before_they_are_over(
    house: House, engine: ScriptedEngine
) -> None:
    await house.on()
    await house.asr.says(type="SPEECH_STARTED", atMs=40)
    await house.asr.says(type="PARTIAL", text="what about", speechMs=500)
    await house.until(lambda: house.output.told == ["pause", "stop"])
    assert engine.requests == []
    await house.asr.says(
        type="UTTERANCE", text="What about the other game?", startMs=40, endMs=1500
    )
    await house.until(lambda: engine.requests)
    assert house.output.told == ["pause", "stop"]


@pytest.mark.parametrize(("heard", "reason"), [("", "noise"), ("uh-huh", "back_channel")])
async def test_a_cough_and_a_nod_let_the_reply_go_on(
    house: House, engine: ScriptedEngine, heard: str, reason: str
) -> None:
    before = metrics.FALSE_INTERRUPTIONS._value.get()
    await house.on()
    await house.asr.says(type="SPEECH_STARTED", atMs=40)
    await house.asr.says(type="UTTERANCE", text=heard, startMs=40, endMs=300)
    await house.until(lambda: house.of("SPEECH_DROPPED"))
    assert house.of("SPEECH_DROPPED") == [{"type": "SPEECH_DROPPED", "reason": reason}]
    assert house.output.told == ["pause", "resume"]
    assert metrics.FALSE_INTERRUPTIONS._value.get() == before + 1
    assert engine.requests == []


@pytest.mark.parametrize("how", ["MIC_STOP", "closed", "asr gone"])
async def test_no_reply_is_left_standing_when_the_microphone_goes(house: House, how: str) -> None:
    await house.on()
    await house.asr.says(type="SPEECH_STARTED", atMs=40)
    await house.until(lambda: house.of("SPEECH_STARTED"))
    if how == "MIC_STOP":
        await house.socket.send('{"type":"MIC_STOP"}')
    elif how == "closed":
        await house.socket.close()
    else:
        await house.asr.sockets[0].close()
        await house.until(lambda: house.of("ERROR"))
        assert house.of("ERROR")[0]["code"] == "asr_unavailable"
    await house.until(lambda: house.output.told == ["pause", "resume"])


async def test_an_output_handler_that_refuses_keeps_nobody_from_being_heard(
    house: House, engine: ScriptedEngine
) -> None:
    house.output.status = 409
    await house.on()
    await house.asr.says(type="SPEECH_STARTED", atMs=40)
    await house.asr.says(type="UTTERANCE", text="嗯", startMs=40, endMs=300)
    await house.until(lambda: engine.requests)
    assert house.output.told == ["pause"], "a reply that may not be interrupted is not"


BAD: list[tuple[bytes | dict[str, Any], str]] = [
    (bytes(641), "odd_pcm"),
    (b"", "empty_frame"),
    (bytes(32_002), "too_large"),
    ({**START, "sessionId": "another"}, "invalid"),
    ({**START, "sampleRate": 7_000}, "invalid"),
    ({**START, "frameMs": 10}, "invalid"),
    ({**START, "format": "mp3"}, "invalid"),
]


@pytest.mark.parametrize(("bad", "code"), BAD, ids=range(len(BAD)))
async def test_what_is_no_audio_is_refused_and_the_microphone_stays_on(
    house: House, bad: bytes | dict[str, Any], code: str
) -> None:
    await house.on()
    await house.socket.send(bad if isinstance(bad, bytes) else json.dumps(bad))
    await house.until(lambda: house.of("ERROR"))
    assert house.of("ERROR")[0]["code"] == code
    await house.socket.send(FRAME)
    await house.until(lambda: house.asr.audio)


async def test_a_flood_is_cut_to_what_there_was_time_for(house: House) -> None:
    await house.on()
    for _ in range(8):
        await house.socket.send(bytes(16_000))
    await house.until(lambda: len(house.of("ERROR")) == 2)
    assert {frame["code"] for frame in house.of("ERROR")} == {"microphone_too_fast"}
    await house.until(lambda: len(house.asr.audio) == 6 * 16_000)


async def test_a_second_start_is_a_new_microphone(house: House) -> None:
    await house.on()
    await house.socket.send(json.dumps({**START, "sampleRate": 24000}))
    await house.until(lambda: len(house.asr.sockets) == 2)
    await house.until(lambda: {"type": "MIC_STOP"} in house.asr.texts)
    await house.until(
        lambda: (
            [text["sampleRate"] for text in house.asr.texts if text["type"] == "MIC_START"]
            == [16000, 24000]
        )
    )


async def test_without_asr_the_client_is_told_so(engine_url: str, no_redis_url: str) -> None:
    settings = InputSettings(
        dialog_engine_url=engine_url,
        redis_url=no_redis_url,
        asr_url=f"ws://127.0.0.1:{ports.free()}/ws/asr",
    )
    async with serving(build(settings)) as port, _dialled(port) as socket:
        await socket.recv()
        await socket.send(json.dumps(START))
        refused = json.loads(await asyncio.wait_for(socket.recv(), 3))
        assert (refused["type"], refused["code"]) == ("ERROR", "asr_unavailable")
