import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from dialog_contracts import binary, sse
from dialog_contracts.http import ErrorBody, FlagSet
from dialog_contracts.ingest import End, SpeechChunk, Start, StopAck
from service_runtime.testing.local_server import serving
from vtuber_cli import ports
from vtuber_cli import say as saying
from vtuber_cli.say import CannotSay, Heard

FLAGS = FlagSet()


def start(turn: int) -> str:
    return Start(session_id="live-001", turn=turn, epoch=1, flags=FLAGS).to_json()


def end(turn: int) -> str:
    return End(session_id="live-001", turn=turn).to_json()


def chunk(turn: int, seq: int) -> bytes:
    pcm = base64.b64encode(bytes([turn, seq]) * 960).decode()
    return binary.pack(SpeechChunk(session_id="live-001", turn=turn, seq=seq, pcm=pcm, ts=1.0, offset_ms=seq * 40))


@dataclass
class Gateway:
    """What a viewer hears before and after the question, and what the asker reads."""

    before: list[str | bytes] = field(default_factory=list)
    after: list[str | bytes] = field(default_factory=list)
    events: list[sse.ChatEvent] = field(default_factory=list)
    status: int = 200
    body: bytes = b""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    request: dict[str, object] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await socket.accept(subprotocol="vtuber.v2.bin")
            for frame in self.before:
                await self._send(socket, frame)
            await self.asked.wait()
            for frame in self.after:
                await self._send(socket, frame)
            await socket.receive()
        elif scope["type"] == "http":
            self.request = await Request(scope, receive).json()
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            body = b"".join(sse.frame(event, f"42.{number}").encode() for number, event in enumerate(self.events, 1))
            first, rest = body[: body.find(b"\n\n") + 2], body[body.find(b"\n\n") + 2 :]
            await send({"type": "http.response.body", "body": self.body or first, "more_body": True})
            self.asked.set()
            await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": b"" if self.body else rest})

    @staticmethod
    async def _send(socket: WebSocket, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_text(frame)


@pytest.fixture
async def gateway() -> Gateway:
    accepted = sse.ControlEvent(action="ACCEPTED")
    done = sse.DoneEvent(stats=sse.DoneStats(tokens=2, turn=42))
    said: list[sse.ChatEvent] = [accepted, sse.TextDeltaEvent(content="今晚"), sse.TextDeltaEvent(content="玩", eos=True), done]
    return Gateway(after=[start(42), chunk(42, 0), chunk(42, 1), end(42)], events=said)


@pytest.fixture
async def url(gateway: Gateway) -> AsyncIterator[str]:
    async with serving(gateway) as port:
        yield f"http://127.0.0.1:{port}"


async def said(url: str, shown: list[str] | None = None, lang: str | None = None) -> Heard:
    show = (shown if shown is not None else []).append
    async with asyncio.timeout(5):
        return await saying.say(url, "live-001", "今晚玩什么？", lang=lang, show=show, voice_wait_s=0.1)


async def test_text_streams_and_the_voice_is_collected(gateway: Gateway, url: str) -> None:
    shown: list[str] = []
    heard = await said(url, shown, lang="zh")
    assert shown == ["今晚", "玩"]
    assert (heard.text, heard.turn, heard.sample_rate) == ("今晚玩", 42, 24_000)
    assert bytes(heard.pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960
    assert heard.first_text is not None
    assert heard.first_audio is not None
    assert heard.total is not None
    assert heard.first_text <= heard.total
    assert gateway.request["content"] == "今晚玩什么？"
    assert isinstance(gateway.request["meta"], dict)
    assert gateway.request["meta"]["lang"] == "zh"
    assert gateway.request["meta"]["requestId"]


@pytest.mark.parametrize("ending", [end(41), StopAck(session_id="live-001", turn=41).to_json()])
async def test_the_end_of_the_turn_before_is_not_taken_for_ours(gateway: Gateway, url: str, ending: str) -> None:
    gateway.before = [start(41), chunk(41, 0)]
    gateway.after = [chunk(41, 1), ending, *gateway.after]
    assert bytes((await said(url)).pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


async def test_a_voice_that_never_comes_is_not_waited_for_long(gateway: Gateway, url: str) -> None:
    gateway.after = [start(42)]
    heard = await said(url)
    assert (heard.text, bytes(heard.pcm), heard.first_audio) == ("今晚玩", b"", None)


async def test_an_error_in_the_stream_is_said_in_its_words(gateway: Gateway, url: str) -> None:
    gateway.events[1:] = [sse.ErrorEvent(code="llm_failed", message="no model answers")]
    with pytest.raises(CannotSay, match="llm_failed: no model answers"):
        await said(url)


@pytest.mark.parametrize(
    ("body", "words"),
    [(ErrorBody(code="busy", message="a turn runs").to_json().encode(), "busy: a turn runs"), (b"<html>", "HTTP 409")],
)
async def test_a_refusal_is_said_in_its_words(gateway: Gateway, url: str, body: bytes, words: str) -> None:
    gateway.status, gateway.body = 409, body
    with pytest.raises(CannotSay, match=words):
        await said(url)


async def test_without_a_gateway_it_says_how_to_start_one() -> None:
    with pytest.raises(CannotSay, match="Is it running"):
        await said(f"http://127.0.0.1:{ports.free()}")


async def test_the_command_saves_a_wav_and_prints_the_times(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "voice.wav"
    status = await asyncio.to_thread(saying.main, url + "/", "live-001", "你好", lang=None, wav_path=file)
    assert status == 0
    told = capsys.readouterr().out
    assert told.startswith("今晚玩\n")
    assert "live-001#42  first text" in told
    assert "(0.1 s)" in told
    data = file.read_bytes()
    assert data[:4] + data[8:12] == b"RIFFWAVE"
    assert struct.unpack_from("<I", data, 40) == (len(data) - 44,) == (2 * 1920,)


async def test_the_command_fails_with_one_line_on_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{ports.free()}"
    assert await asyncio.to_thread(saying.main, address, "live-001", "hi", lang=None, wav_path=None) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


async def test_the_command_tells_when_the_fallback_answered(
    gateway: Gateway, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=sse.DoneStats(turn=42, path="legacy", fallback_reason="not_accepted_in_time"))
    status = await asyncio.to_thread(saying.main, url, "live-001", "你好", lang=None, wav_path=tmp_path / "out.wav")
    assert status == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "今晚玩"
    assert told[-1] == "answered by the fallback: not_accepted_in_time"
