import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from dialog_contracts.wav import wav_file
from vtuber_cli import players, sound_device
from vtuber_cli.audio_sink import DRAIN_S, FileSink, Speaker, unwritable
from vtuber_cli.players import FileSound, FirstAvailable, PlayError, ProgramSound


@dataclass
class Room:
    """A player that writes what it plays into files, one for each process, and the time there."""

    folder: Path
    now: float = 100.0

    @property
    def played(self) -> list[bytes]:
        return [
            each.read_bytes()
            for each in sorted(self.folder.glob("*.pcm"), key=lambda path: path.stat().st_ctime_ns)
        ]

    @property
    def pids(self) -> list[int]:
        return [int(each.stem) for each in self.folder.glob("*.pcm")]


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.01)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture
async def loud(room: Room) -> AsyncIterator[Speaker]:
    script = f"exec /bin/cat > {room.folder}/$$.pcm"
    made = Speaker(
        lambda: ProgramSound(("/bin/sh", "-c", script, "{rate}")), clock=lambda: room.now
    )
    yield made
    await made.aclose()


async def test_turns_are_played_while_they_come_and_one_after_another(
    room: Room, loud: Speaker
) -> None:
    assert not loud.playing
    loud.feed(1, b"one ", 24_000)
    await until(lambda: room.played == [b"one "])
    assert loud.playing
    loud.feed(2, b"two", 24_000)
    loud.end(2)
    loud.feed(1, b"more", 24_000)
    await until(lambda: room.played == [b"one more"])
    await asyncio.sleep(0.05)
    assert len(room.played) == 1, "the second waits for the first"
    loud.end(1)
    await loud.wait_silent()
    assert room.played == [b"one more", b"two"]


async def test_the_room_sounds_a_little_longer_than_the_player(room: Room, loud: Speaker) -> None:
    loud.feed(1, b"one", 24_000)
    loud.end(1)
    await loud.wait_silent()
    assert loud.playing
    room.now += DRAIN_S - 0.01
    assert loud.playing
    room.now += 0.02
    assert not loud.playing


async def test_a_turn_that_is_stopped_is_cut_off_and_what_still_comes_of_it_is_not_played(
    room: Room, loud: Speaker
) -> None:
    loud.feed(1, b"one", 24_000)
    await until(lambda: room.played == [b"one"])
    (pid,) = room.pids
    loud.flush(1)
    await loud.wait_silent()
    assert not psutil.pid_exists(pid)
    loud.feed(1, b"late", 24_000)
    loud.feed(2, b"two", 24_000)
    loud.end(2)
    await loud.wait_silent()
    assert room.played == [b"one", b"two"]


async def test_one_that_is_stopped_before_it_began_holds_up_no_other(
    room: Room, loud: Speaker
) -> None:
    loud.feed(1, b"one", 24_000)
    loud.flush(None)
    loud.feed(2, b"two", 24_000)
    loud.end(2)
    async with asyncio.timeout(10):
        await loud.wait_silent()
    assert room.played == [b"two"]


async def test_it_stands_still_and_goes_on(room: Room, loud: Speaker) -> None:
    loud.feed(1, b"one", 24_000)
    await until(lambda: room.played == [b"one"])
    player = psutil.Process(room.pids[0])
    loud.pause()
    await until(lambda: player.status() == psutil.STATUS_STOPPED)
    loud.feed(1, b" more", 24_000)
    await asyncio.sleep(0.05)
    assert room.played == [b"one"]
    loud.resume()
    await until(lambda: room.played == [b"one more"])
    loud.pause()
    loud.feed(1, bytes(1 << 20), 24_000)
    await asyncio.sleep(0.05)
    loud.flush(1)
    await loud.wait_silent()
    assert not psutil.pid_exists(player.pid), "also one that stands still is ended"


async def test_a_player_that_ends_before_its_time_costs_its_turn_and_no_other() -> None:
    troubles = list[str]()
    command = ("/bin/sh", "-c", "echo 'no such card' >&2; exit 1")
    dying = Speaker(lambda: ProgramSound(command), trouble=troubles.append)
    for _ in range(50):
        dying.feed(1, bytes(65_536), 24_000)
    dying.end(1)
    async with asyncio.timeout(10):
        await dying.wait_silent()
    dying.feed(2, b"two", 24_000)
    dying.end(2)
    async with asyncio.timeout(10):
        await dying.wait_silent()
    assert troubles == ["/bin/sh cannot play here (no such card)"], "once"


async def test_a_program_that_is_none_is_told_and_no_error() -> None:
    troubles = list[str]()
    missing = Speaker(lambda: ProgramSound(("/nowhere/player",)), trouble=troubles.append)
    missing.feed(1, b"one", 24_000)
    missing.end(1)
    async with asyncio.timeout(10):
        await missing.wait_silent()
    assert troubles == ["/nowhere/player cannot be started (No such file or directory)"]


async def test_a_program_that_only_plays_files_gets_the_whole_turn(tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    loud = Speaker(lambda: FileSound(("/bin/sh", "-c", f'cp "$0" {kept}')))
    loud.feed(1, b"\1\0", 24_000)
    loud.feed(1, b"\2\0", 24_000)
    loud.end(1)
    async with asyncio.timeout(10):
        await loud.wait_silent()
    assert kept.read_bytes() == wav_file(b"\1\0\2\0", 24_000)


async def test_letting_go_ends_every_player(room: Room, loud: Speaker) -> None:
    loud.feed(1, b"one", 24_000)
    await until(lambda: len(room.played) == 1)
    await loud.aclose()
    assert not any(psutil.pid_exists(pid) for pid in room.pids)


def test_the_player_of_this_machine_is_the_device_or_else_one_that_plays_what_still_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_device, "default_device", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Speaker.default_output() is None
    for name in ("afplay", "play"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / name).chmod(0o755)
    found = players.available_players()
    assert found is not None
    assert found.name == "play", "afplay plays only files"
    assert Speaker.default_output() is not None
    (tmp_path / "play").unlink()
    whole = players.available_players()
    assert whole is not None
    assert isinstance(whole.sound(), FileSound)


class Refusing(FileSound):
    """A device that is there and does not open."""

    async def begin(self, rate: int) -> None:
        raise PlayError(f"{rate} Hz is nothing for it")


async def test_a_device_that_does_not_open_is_passed_over(tmp_path: Path) -> None:
    kept, troubles = tmp_path / "kept.pcm", list[str]()
    program = ("/bin/sh", "-c", f"exec /bin/cat > {kept}")
    loud = Speaker(
        lambda: FirstAvailable([lambda: Refusing(()), lambda: ProgramSound(program)]),
        trouble=troubles.append,
    )
    loud.feed(1, b"one", 24_000)
    loud.end(1)
    async with asyncio.timeout(10):
        await loud.wait_silent()
    assert (kept.read_bytes(), troubles) == (b"one", [])
    silent = Speaker(lambda: FirstAvailable([lambda: Refusing(())]), trouble=troubles.append)
    silent.feed(1, b"one", 24_000)
    async with asyncio.timeout(10):
        await silent.wait_silent()
    assert troubles == ["24000 Hz is nothing for it"]


@pytest.mark.parametrize("where", ["missing/her.wav", ".", "file/her.wav"])
def test_where_no_file_can_be_is_one_sentence(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    why = unwritable(tmp_path / where)
    assert why is not None
    assert str(tmp_path) in why
    assert unwritable(tmp_path / "her.wav") is None
    assert sorted(os.listdir(tmp_path)) == ["file"]


async def test_what_is_saved_is_one_file_and_no_microphone_hears_it(tmp_path: Path) -> None:
    saved = FileSink(tmp_path / "her.wav")
    saved.feed(1, b"\1\0", 24_000)
    saved.flush(1)
    saved.feed(2, b"\2\0", 24_000)
    assert not saved.playing
    await saved.aclose()
    assert (tmp_path / "her.wav").read_bytes() == wav_file(b"\1\0\2\0", 24_000)
    assert os.listdir(tmp_path) == ["her.wav"]
