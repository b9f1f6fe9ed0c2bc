import asyncio
import os
import wave
from contextlib import aclosing
from pathlib import Path

import pytest

from vtuber_cli import audio_source
from vtuber_cli.audio_source import Microphone, RecordError, Recording


def file(path: Path, pcm: bytes, *, rate: int = 16_000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width)
        made.setframerate(rate)
        made.writeframes(pcm)
    return path


def program(folder: Path, name: str, script: str) -> Path:
    made = folder / name
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return made


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.looptime
async def test_a_recording_is_spoken_as_fast_as_it_was_and_no_faster() -> None:
    pcm = bytes(range(256)) * 10
    loop = asyncio.get_running_loop()
    began, came = loop.time(), []
    async for frame in Recording(pcm, 16_000).frames():
        came.append((round(loop.time() - began, 3), len(frame)))
    assert came == [(0.0, 640), (0.02, 640), (0.04, 640), (0.06, 640)]


@pytest.mark.looptime
async def test_one_that_was_held_up_catches_up() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async for _ in Recording(bytes(640 * 10), 16_000).frames():
        if loop.time() - began < 0.05:
            await asyncio.sleep(0.1)
    assert loop.time() - began == pytest.approx(0.18)


def test_a_file_keeps_its_rate_and_its_first_channel(tmp_path: Path) -> None:
    both = Recording.from_file(
        file(tmp_path / "a.wav", b"\1\0\7\7\2\0\7\7", rate=44_100, channels=2)
    )
    assert (both.pcm, both.sample_rate, both.has_echo) == (b"\1\0\2\0", 44_100, False)


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    wide = file(tmp_path / "wide.wav", bytes(8), width=4)
    for each in (
        tmp_path / "text.wav",
        tmp_path / "absent.wav",
        wide,
        file(tmp_path / "fast.wav", bytes(8), rate=96_000),
    ):
        with pytest.raises(RecordError, match=each.name):
            audio_source.open_source(each)


def test_without_a_recorder_it_names_some_and_the_way_without(path: Path) -> None:
    with pytest.raises(RecordError, match=r"arecord.*ffmpeg.*install one.*--wav"):
        audio_source.open_source(None)


def test_the_first_recorder_that_is_there_records(path: Path) -> None:
    program(path, "ffmpeg", "")
    assert Microphone.default_input().command[0] == "ffmpeg"
    assert Microphone.default_input().command[-3:] == ("-f", "s16le", "-")
    program(path, "parec", "")
    assert Microphone.default_input().command[:2] == ("parec", "--raw")
    assert Microphone.default_input().has_echo


async def test_frames_come_as_they_are_recorded_and_the_recorder_ends_with_us(path: Path) -> None:
    pid = path / "pid"
    # `exec`: the shell itself becomes what writes on.
    program(path, "arecord", f"echo $$ > {pid}\nexec /bin/cat /dev/zero")
    async with aclosing(Microphone.default_input().frames()) as frames:
        assert [len(await anext(frames)) for _ in range(3)] == [640] * 3
        # More than is read: it fills whatever is between it and us.
        await asyncio.sleep(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo first >&2; echo 'no such device' >&2; exit 1", "arecord ended: no such device"),
        ("exit 3", "exit status 3"),
    ],
)
async def test_a_recorder_that_ends_by_itself_says_why(path: Path, script: str, words: str) -> None:
    program(path, "arecord", script)
    with pytest.raises(RecordError, match=words):
        async for _ in Microphone.default_input().frames():
            pass
