import asyncio
import io
import os
import wave
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from dialog_contracts.wav import wav_file
from vtuber_cli.players import (
    PLAYERS,
    FileSound,
    FirstAvailable,
    PlayError,
    ProgramSound,
)

WITHIN_S = 20


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.005)


def shell(script: str) -> ProgramSound:
    return ProgramSound(("/bin/sh", "-c", script))


def process_of(sound: ProgramSound) -> psutil.Process:
    assert sound._process is not None
    return psutil.Process(sound._process.pid)


async def test_a_program_gets_the_rate_and_every_piece_and_is_waited_for(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    sound = ProgramSound(("/bin/sh", "-c", f"/bin/cat > {kept}.part; echo {{rate}} > {kept}"))
    await sound.begin(16_000)
    await sound.write(b"one")
    await sound.write(b"two" * 100_000)
    await sound.finish()
    assert kept.read_text() == "16000\n", "it had ended"
    assert Path(f"{kept}.part").read_bytes() == b"one" + b"two" * 100_000
    await sound.aclose()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat > /dev/null; echo first >&2; echo '  no such card ' >&2; exit 1", "(no such card)"),
        ("cat > /dev/null; exit 3", "(it ended with 3)"),
        (
            "cat > /dev/null; printf 'x%.0s' $(seq 9000) >&2; echo >&2; echo last >&2; exit 1",
            "(last)",
        ),
    ],
)
async def test_a_program_that_fails_says_why_in_one_clause(script: str, why: str) -> None:
    sound = shell(script)
    await sound.begin(24_000)
    with pytest.raises(PlayError) as failed:
        await sound.finish()
    assert str(failed.value) == f"/bin/sh cannot play here {why}"
    await sound.aclose()


async def test_a_program_that_has_ended_fails_the_next_piece() -> None:
    sound = shell("echo 'device is gone' >&2; exit 1")
    await sound.begin(24_000)
    with pytest.raises(PlayError, match="device is gone"):
        async with asyncio.timeout(WITHIN_S):
            while True:
                await sound.write(bytes(65_536))
    await sound.aclose()


async def test_a_program_that_is_not_there_cannot_be_started() -> None:
    sound = ProgramSound(("/nowhere/player", "{rate}"))
    with pytest.raises(PlayError, match="/nowhere/player cannot be started"):
        await sound.begin(24_000)
    sound.pause()
    sound.resume()
    await sound.aclose()


@pytest.mark.parametrize("still", [False, True])
async def test_it_falls_silent_at_once_also_where_it_stands_still(still: bool) -> None:
    sound = shell("exec sleep 1000")
    await sound.begin(24_000)
    process = process_of(sound)
    if still:
        sound.pause()
        await until(lambda: process.status() == psutil.STATUS_STOPPED)
    async with asyncio.timeout(WITHIN_S):
        await sound.aclose()
    assert not psutil.pid_exists(process.pid)
    await sound.aclose()


async def test_it_stands_still_and_goes_on() -> None:
    sound = shell("exec sleep 1000")
    await sound.begin(24_000)
    process = process_of(sound)
    sound.pause()
    await until(lambda: process.status() == psutil.STATUS_STOPPED)
    sound.resume()
    await until(lambda: process.status() != psutil.STATUS_STOPPED)
    await sound.aclose()


async def test_ctrl_c_of_the_terminal_does_not_reach_it() -> None:
    sound = shell("exec sleep 1000")
    await sound.begin(24_000)
    assert os.getsid(process_of(sound).pid) != os.getsid(0)
    await sound.aclose()


async def test_one_that_plays_files_is_started_when_all_has_come(tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    sound = FileSound(("/bin/sh", "-c", f'cp "$0" {kept}; echo "$0" > {kept}.name'))
    await sound.begin(16_000)
    await sound.write(b"\1\0")
    sound.pause()
    sound.resume()
    await sound.write(b"\2\0")
    assert sound._process is None
    await sound.finish()
    with wave.open(str(kept)) as file:
        assert (file.getframerate(), file.readframes(9)) == (16_000, b"\1\0\2\0")
    assert not os.path.exists(Path(f"{kept}.name").read_text().strip()), "nothing of it is left"
    await sound.aclose()


class Way:
    """A sound that notes what is done with it; it refuses rates that it does not know."""

    def __init__(self, name: str, notes: list[str], *rates: int) -> None:
        self._name, self._notes, self._rates = name, notes, rates

    async def begin(self, rate: int) -> None:
        self._notes.append(f"{self._name} begins")
        if rate not in self._rates:
            raise PlayError(f"{self._name} has no {rate}")

    async def write(self, pcm: bytes) -> None:
        self._notes.append(f"{self._name} plays {pcm.decode()}")

    async def finish(self) -> None:
        self._notes.append(f"{self._name} ends")

    async def aclose(self) -> None:
        self._notes.append(f"{self._name} is closed")

    def pause(self) -> None:
        self._notes.append(f"{self._name} stands still")

    def resume(self) -> None:
        self._notes.append(f"{self._name} goes on")


async def test_the_first_way_that_takes_the_rate_plays_and_what_refused_is_closed() -> None:
    notes: list[str] = []
    sound = FirstAvailable(
        [
            lambda: Way("device", notes, 48_000),
            lambda: Way("program", notes, 48_000, 24_000),
            lambda: Way("file", notes, 24_000),
        ]
    )
    sound.pause()
    sound.resume()
    await sound.aclose()
    assert notes == [], "nothing has begun"
    await sound.begin(24_000)
    await sound.write(b"hello")
    sound.pause()
    sound.resume()
    await sound.finish()
    await sound.aclose()
    assert notes == [
        "device begins",
        "device is closed",
        "program begins",
        "program plays hello",
        "program stands still",
        "program goes on",
        "program ends",
        "program is closed",
    ]


async def test_where_no_way_is_left_the_last_one_says_why() -> None:
    notes: list[str] = []
    sound = FirstAvailable([lambda: Way("device", notes), lambda: Way("program", notes)])
    with pytest.raises(PlayError, match="program has no 24000"):
        await sound.begin(24_000)


def test_every_program_that_plays_while_sound_comes_is_told_the_rate() -> None:
    for player in PLAYERS:
        assert any("{rate}" in part for part in player.command) is player.stream
        assert isinstance(player.sound(), FileSound) is not player.stream
    streams = [player.stream for player in PLAYERS]
    assert streams == sorted(streams, reverse=True), "one that plays only files is the last resort"


@given(
    pcm=binary(max_size=64).map(lambda data: data[: len(data) // 2 * 2]),
    rate=integers(8_000, 48_000),
)
def test_a_wav_file_is_read_by_others(pcm: bytes, rate: int) -> None:
    with wave.open(io.BytesIO(wav_file(pcm, rate))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.readframes(1_000) == pcm
