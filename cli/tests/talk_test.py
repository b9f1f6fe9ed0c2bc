import asyncio
import base64
import io
import os
import signal
import sys
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from dialog_contracts import binary
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, PlaybackControl, SpeechChunk, Start, Stop, StopAck
from dialog_contracts.input_socket import (
    Final,
    InputError,
    Partial,
    SpeechDropped,
    SpeechStarted,
    TurnEvent,
)
from dialog_contracts.wav import wav_file
from vtuber_cli import ports
from vtuber_cli import talk as talking
from vtuber_cli.audio_source import Recording
from vtuber_cli.console import Console
from vtuber_cli.talk import Talk, TalkError
from vtuber_cli.testing.gateway import FakeGateway
from vtuber_cli.transcript import Transcript

SPOKEN = bytes(range(256)) * 10
SESSION = "live-001"


def event(turn: int, number: int, name: str, **data: object) -> str:
    made = TurnEvent(session_id=SESSION, id=f"{turn}.{number}", event=name, data=data)
    return made.to_json()


def answer(turn: int, text: str) -> list[str]:
    deltas = [
        event(turn, number, "text-delta", content=word + " ")
        for number, word in enumerate(text.split(" "), 2)
    ]
    return [
        event(turn, 1, "control", action="ACCEPTED"),
        *deltas,
        event(turn, 90, "done", stats={}),
    ]


def voice(turn: int) -> list[str | bytes]:
    pcm = base64.b64encode(bytes([turn, 0]) * 960).decode()
    chunk = SpeechChunk(session_id=SESSION, turn=turn, seq=0, pcm=pcm, ts=1.0, offset_ms=0)
    return [
        Start(session_id=SESSION, turn=turn, epoch=1, flags=FlagSet()).to_json(),
        binary.pack(chunk),
    ]


def end(turn: int) -> str:
    return End(session_id=SESSION, turn=turn).to_json()


@dataclass
class Person:
    """Says a numbered frame each time it is asked to, and hears whether she sounds."""

    sample_rate: int = 16_000
    in_the_room: bool = True
    said: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        while (frame := await self.said.get()) is not None:
            yield frame


class InMemorySink:
    """A voice of which the test says whether it sounds, and that tells what it was told."""

    def __init__(self) -> None:
        self.playing = False
        self.told: list[str] = []

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        self.told.append(f"feed {turn}")

    def end(self, turn: int) -> None:
        self.told.append(f"end {turn}")

    def flush(self, turn: int | None) -> None:
        self.told.append(f"flush {turn}")

    def pause(self) -> None:
        self.told.append("hold")

    def resume(self) -> None:
        self.told.append("go on")

    async def wait_silent(self) -> None:
        self.told.append("rested")

    async def aclose(self) -> None:
        self.told.append("closed")


@pytest.fixture
async def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def url(gateway: FakeGateway) -> AsyncIterator[str]:
    async with gateway.serving() as address:
        yield address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with wave.open(str(tmp_path / "in.wav"), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(16_000)
        made.writeframes(SPOKEN)
    return tmp_path / "in.wav"


def begun(
    url: str, source: Any, room: InMemorySink, out: io.StringIO | None = None, *, turns: bool = True
) -> "asyncio.Task[None]":
    transcript = Transcript(Console(out or io.StringIO(), colours=False))
    return asyncio.create_task(
        Talk(url, SESSION, source, room, transcript, lang="en", turns=turns).run()
    )


async def test_what_is_spoken_becomes_words_a_reply_and_a_voice(
    gateway: FakeGateway, url: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.wav"
    command = asyncio.to_thread(
        talking.main, url + "/", SESSION, lang="en", wav_path=file, out_path=out, headphones=False
    )
    running = asyncio.create_task(command)
    async with asyncio.timeout(20):
        await gateway.mic_off.wait()
        assert bytes(gateway.audio) == SPOKEN, "nothing is held back: a file hears nobody"
        await gateway.understood(
            SpeechStarted().to_json(),
            Partial(text="who").to_json(),
            '{"type":"FROM_THE_FUTURE"}',
            "[]",
        )
        await gateway.understood(
            Final(text="Who are you?", turn=7).to_json(), *answer(7, "I am Luna.")
        )
        await gateway.sounds(*voice(7), '{"type":"STATE"}', end(7))
        assert await running == 0
    assert gateway.paths == [
        (f"/ws/output/{SESSION}", "vtuber.v2.bin"),
        (f"/ws/input?sessionId={SESSION}", "vtuber.v2"),
    ]
    assert gateway.start == {
        "type": "MIC_START",
        "sessionId": SESSION,
        "format": "pcm_s16le",
        "sampleRate": 16_000,
        "frameMs": 20,
        "lang": "en",
    }
    assert capsys.readouterr().out == f"you  > Who are you?\nshe  > I am Luna. \nvoice: {out}\n"
    assert out.read_bytes() == wav_file(bytes([7, 0]) * 960, 24_000)


@pytest.mark.parametrize("turns", [True, False])
async def test_while_she_sounds_the_microphone_is_not_sent_unless_it_does_not_hear_her(
    gateway: FakeGateway, url: str, turns: bool
) -> None:
    person, room = Person(), InMemorySink()
    talk = begun(url, person, room, turns=turns)
    async with asyncio.timeout(10):
        for number, room.playing in enumerate([False, True, True, False]):
            person.said.put_nowait(bytes([number, 0]))
            while not person.said.empty():
                await asyncio.sleep(0.001)
        person.said.put_nowait(None)
        await gateway.mic_off.wait()
        assert list(gateway.audio[::2]) == ([0, 3] if turns else [0, 1, 2, 3])
        talk.cancel()
        await asyncio.wait([talk])


async def test_her_voice_is_stopped_held_and_goes_on_as_the_gateway_says(
    gateway: FakeGateway, url: str
) -> None:
    room = InMemorySink()
    talk = begun(url, Person(), room)
    async with asyncio.timeout(10):
        await gateway.mic_on.wait()
        for action in ("PAUSE", "RESUME"):
            await gateway.sounds(
                PlaybackControl(session_id=SESSION, turn=3, action=action).to_json()
            )
        await gateway.sounds(
            *voice(3), b"no chunk", "no json", Stop(session_id=SESSION, turn=3).to_json()
        )
        await gateway.sounds(StopAck(session_id=SESSION, turn=3).to_json(), *voice(4), end(4))
        while "end 4" not in room.told:
            await asyncio.sleep(0.01)
        talk.cancel()
        await asyncio.wait([talk])
    assert room.told == [
        "hold",
        "go on",
        "feed 3",
        "flush 3",
        "flush 3",
        "feed 4",
        "end 4",
        "closed",
    ]
    assert gateway.mic_off.is_set() or await asyncio.wait_for(gateway.mic_off.wait(), 2), (
        "the microphone is turned off"
    )


async def test_after_a_recording_each_that_spoke_is_waited_for(
    gateway: FakeGateway, url: str
) -> None:
    out = io.StringIO()
    talk = begun(url, Recording(bytes(640), 16_000), InMemorySink(), out)
    async with asyncio.timeout(10):
        await gateway.mic_off.wait()
        await gateway.understood(SpeechStarted().to_json(), SpeechStarted(at_ms=900).to_json())
        await gateway.understood(SpeechDropped(reason="noise").to_json())
        await asyncio.wait([talk], timeout=0.1)
        assert not talk.done(), "the second is still to be answered"
        await gateway.understood(Final(text="Hi.", turn=1).to_json(), *answer(1, "Hello."))
        await asyncio.wait([talk], timeout=0.1)
        assert not talk.done(), "she has not spoken yet"
        await gateway.sounds(end(1))
        await talk
    assert out.getvalue() == "you  > Hi.\nshe  > Hello. \n"


@pytest.mark.parametrize("spoke", [False, True])
async def test_what_never_is_answered_is_not_waited_for_for_ever(
    gateway: FakeGateway, url: str, spoke: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REPLY_TIMEOUT_S", "AUDIO_TIMEOUT_S", "SPEECH_TIMEOUT_S"):
        monkeypatch.setattr(talking, name, 0.1)
    talk = begun(url, Recording(bytes(640), 16_000), InMemorySink())
    async with asyncio.timeout(10):
        await gateway.mic_off.wait()
        if spoke:
            await gateway.understood(Final(text="Hi.", turn=1).to_json())
        await talk


async def test_a_turn_that_is_refused_or_fails_is_said_and_the_talk_goes_on(
    gateway: FakeGateway, url: str
) -> None:
    out = io.StringIO()
    talk = begun(url, Recording(bytes(640), 16_000), InMemorySink(), out)
    async with asyncio.timeout(10):
        await gateway.mic_off.wait()
        await gateway.understood(SpeechStarted().to_json(), SpeechStarted().to_json())
        await gateway.understood(
            InputError(code="busy", message="a turn runs", request_id="mic-1").to_json()
        )
        failed = event(2, 3, "error", code="llm_failed", message="no model answers")
        await gateway.understood(
            Final(text="Hi.", turn=2).to_json(), event(2, 2, "text-delta", content="Well"), failed
        )
        await talk
    assert (
        out.getvalue()
        == "busy: a turn runs\nyou  > Hi.\nshe  > Well\nllm_failed: no model answers\n"
    )


async def test_where_nobody_listens_it_says_what_to_do(gateway: FakeGateway, url: str) -> None:
    talk = begun(url, Person(), InMemorySink())
    await asyncio.wait_for(gateway.mic_on.wait(), 10)
    await gateway.understood(
        InputError(
            code="asr_unavailable", message="asr does not answer: the microphone is off"
        ).to_json()
    )
    with pytest.raises(TalkError, match="asr does not answer.*vtuber models"):
        await asyncio.wait_for(talk, 10)


async def test_a_gateway_that_ends_the_conversation_ends_the_talk(
    gateway: FakeGateway, url: str
) -> None:
    talk = begun(url, Person(), InMemorySink())
    await asyncio.wait_for(gateway.mic_on.wait(), 10)
    assert gateway.viewer is not None
    await gateway.viewer.close(1013)
    with pytest.raises(TalkError, match="ended the conversation"):
        await asyncio.wait_for(talk, 10)


async def test_the_command_fails_with_one_line(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(wav_path: Path | None) -> str:
        said = io.StringIO()
        monkeypatch.setattr(sys, "stderr", said)
        address = f"http://127.0.0.1:{ports.free()}"
        run = asyncio.to_thread(
            talking.main,
            address,
            SESSION,
            lang=None,
            wav_path=wav_path,
            out_path=None,
            headphones=False,
        )
        assert await run == 1
        assert said.getvalue().count("\n") == 1
        return said.getvalue()

    assert "Is it running" in await failing(file)
    assert "absent.wav" in await failing(tmp_path / "absent.wav")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "found no recording program" in await failing(None)


async def test_ctrl_c_turns_everything_off(gateway: FakeGateway, url: str, tmp_path: Path) -> None:
    recorder = tmp_path / "arecord"
    recorder.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec /bin/sleep 1000\n")
    recorder.chmod(0o755)
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONWARNINGS": "error"}
    # Who starts these tests in the background has them, and what they start, deaf to Ctrl-C: a
    # terminal does not.
    hearing = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{hearing}; runpy.run_module('vtuber_cli', run_name='__main__')"
    command = [sys.executable, "-c", program, "talk", "--session", SESSION, "--url", url]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=pipe, env=environment
    )
    async with asyncio.timeout(40):
        await gateway.mic_on.wait()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        await gateway.mic_off.wait()
    assert (process.returncode, err.decode()) == (0, "")
    assert "Speak; one at a time" in out.decode()
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
