"""The sound of this machine: programs that play, and turns that are played while they come."""

import asyncio
import contextlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Player:
    """A program that plays a file that is named last, and s16le mono samples from its input, if it can; {rate}: samples a second."""

    file: tuple[str, ...]
    stream: tuple[str, ...] | None = None


PLAYERS: Final = (
    Player(("aplay", "-q"), ("aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}")),
    Player(("paplay",), ("paplay", "--raw", "--format=s16le", "--channels=1", "--rate={rate}")),
    Player(("afplay",)),
    Player(
        ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
        ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet", "-f", "s16le", "-ar", "{rate}", "-i", "-"),
    ),
    Player(("play", "-q"), ("play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "{rate}", "-")),
)
TAIL_S: Final = 0.3
"""So long a room still sounds, and a recorder still holds what it heard, after the player has ended."""

SILENT_S: Final = 10.0
"""A turn of which nothing came for so long is taken for ended."""


def wav(pcm: bytes, sample_rate: int) -> bytes:
    """A WAV file of s16le mono samples."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16
    )
    return head + struct.pack("<4sI", b"data", len(pcm)) + pcm


def play(file: bytes) -> bool:
    """Play a WAV file by the first player this machine has; false when it has none."""
    for player in PLAYERS:
        if shutil.which(player.file[0]):
            with tempfile.NamedTemporaryFile(suffix=".wav") as made:
                made.write(file)
                made.flush()
                return subprocess.run([*player.file, made.name], check=False, stderr=subprocess.DEVNULL).returncode == 0
    return False


class Voice(Protocol):
    """Where the sound of turns goes."""

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """The next piece of a turn."""

    def end(self, turn: int) -> None:
        """All pieces of the turn have come."""

    def flush(self, turn: int | None) -> None:
        """The turn (None: whatever sounds) is stopped: not a word more of it."""

    def hold(self) -> None:
        """Stand still."""

    def go_on(self) -> None:
        """Go on after `hold`."""

    @property
    def sounding(self) -> bool:
        """Whether a microphone in this room hears it."""

    async def rested(self) -> None:
        """Until all turns that were ended have been heard."""

    async def aclose(self) -> None:
        """Fall silent and let go of everything."""


@dataclass(eq=False)
class _Sound:
    """A turn on its way to the ear."""

    rate: int
    pieces: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    stopped: bool = False


class Speaker:
    """Plays turns as they come, one after another, each by a process of its own that can be ended in the middle of a word."""

    def __init__(self, command: tuple[str, ...], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._sounds: dict[int, _Sound] = {}
        self._quiet_at = 0.0
        self._flushed = 0
        """The last turn that was stopped; what comes of it still is not played."""

    @classmethod
    def of_this_machine(cls) -> "Speaker | None":
        """With the first player that is there and can play what is still coming."""
        for player in PLAYERS:
            if player.stream is not None and shutil.which(player.stream[0]):
                return cls(player.stream)
        return None

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """The next piece of a turn."""
        if turn <= self._flushed:
            return
        sound = self._sounds.get(turn)
        if sound is None:
            before = [each.task for each in self._sounds.values() if each.task is not None]
            sound = self._sounds[turn] = _Sound(sample_rate)
            sound.task = asyncio.create_task(self._play(sound, before))
            # Not at the end of `_play`: a task that is cancelled before it began never comes there.
            sound.task.add_done_callback(lambda _: self._ended(turn))
        sound.pieces.put_nowait(pcm)

    def end(self, turn: int) -> None:
        """All pieces of the turn have come."""
        if turn in self._sounds:
            self._sounds[turn].pieces.put_nowait(None)

    def flush(self, turn: int | None) -> None:
        """The turn is stopped; what the player holds of it is lost with the player."""
        for number, sound in self._sounds.items():
            if turn in (None, number) and sound.task is not None and not sound.stopped:
                sound.stopped = True
                sound.task.cancel()
                self._flushed = max(self._flushed, number)

    def hold(self) -> None:
        """Stand still: the player is stopped, and sounds for as long as the sound card has something."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on after `hold`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for sound in self._sounds.values():
            if sound.process is not None and sound.process.returncode is None:
                sound.process.send_signal(number)

    @property
    def sounding(self) -> bool:
        """Whether a microphone in this room hears it."""
        return bool(self._sounds) or self._clock() < self._quiet_at

    async def rested(self) -> None:
        """Until all turns have been heard."""
        while tasks := [sound.task for sound in self._sounds.values() if sound.task is not None]:
            await asyncio.wait(tasks)
            # Whoever is told that a task is done is told in turn.
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Fall silent."""
        self.flush(None)
        await self.rested()

    def _ended(self, turn: int) -> None:
        del self._sounds[turn]
        self._quiet_at = self._clock() + TAIL_S

    async def _play(self, sound: _Sound, before: list[asyncio.Task[None]]) -> None:
        try:
            if before:
                await asyncio.wait(before)
            await self._pass_on(sound)
        except OSError:
            # The player ended before its time; the next turn has another.
            pass
        finally:
            if sound.process is not None and sound.process.returncode is None:
                sound.process.kill()
                await sound.process.wait()

    async def _pass_on(self, sound: _Sound) -> None:
        command = [part.format(rate=sound.rate) for part in self._command]
        quiet = asyncio.subprocess.DEVNULL
        # A session of its own: Ctrl-C is ours to pass on.
        sound.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        )
        pipe = sound.process.stdin
        assert pipe is not None
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(SILENT_S):
                    piece = await sound.pieces.get()
                if piece is None:
                    break
                pipe.write(piece)
                await pipe.drain()
        pipe.close()
        await sound.process.wait()


class Saved:
    """Keeps the sound of all turns, one after another, and writes it into a WAV file at the end. No microphone hears it."""

    sounding = False

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pcm = bytearray()
        self._rate = 24_000

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """The next piece of a turn."""
        if self._path is not None:
            self._rate = sample_rate
            self._pcm += pcm

    def end(self, turn: int) -> None:
        """Nothing more is to be done."""

    def flush(self, turn: int | None) -> None:
        """What came was sent to be heard, and stays."""

    def hold(self) -> None:
        """A file does not stand still."""

    def go_on(self) -> None:
        """Nor does it go on."""

    async def rested(self) -> None:
        """At once."""

    async def aclose(self) -> None:
        """Write the file."""
        if self._path is not None:
            await asyncio.to_thread(self._path.write_bytes, wav(bytes(self._pcm), self._rate))
