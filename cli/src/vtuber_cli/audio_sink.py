"""Turns that are played while they come, or kept."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from dialog_contracts.wav import wav_file
from vtuber_cli import players, sound_device
from vtuber_cli.players import FirstAvailable, PlayError, Sound, SoundMaker

DRAIN_S: Final = 0.3
"""So long a room still sounds, and a recorder still holds what it heard, after the player has ended."""

SILENCE_TIMEOUT_S: Final = 10.0
"""A turn of which nothing came for so long is taken for ended."""

NO_PLAYER: Final = f"no sound: neither PortAudio nor one of {', '.join(player.name for player in players.PLAYERS)} is here"


class AudioSink(Protocol):
    """Where the sound of turns goes."""

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """The next piece of a turn."""

    def end(self, turn: int) -> None:
        """All pieces of the turn have come."""

    def flush(self, turn: int | None) -> None:
        """The turn (None: whatever sounds) is stopped: not a word more of it."""

    def pause(self) -> None:
        """Stand still."""

    def resume(self) -> None:
        """Go on after `hold`."""

    @property
    def playing(self) -> bool:
        """Whether a microphone in this room hears it."""

    async def wait_silent(self) -> None:
        """Until all turns that were ended have been heard."""

    async def aclose(self) -> None:
        """Fall silent and let go of everything."""


@dataclass(eq=False)
class _Turn:
    """A turn on its way to the ear."""

    rate: int
    sound: Sound
    pieces: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    stopped: bool = False


class Speaker:
    """Plays turns as they come, one after another; each can be ended in the middle of a word.

    `trouble` is told once why there is no sound; what comes afterwards is tried all the same.
    """

    def __init__(
        self,
        make: SoundMaker,
        *,
        trouble: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._trouble, self._clock = make, trouble, clock
        self._turns: dict[int, _Turn] = {}
        self._quiet_at = 0.0
        self._flushed = 0
        """The last turn that was stopped; what comes of it still is not played."""

    @classmethod
    def default_output(cls, trouble: Callable[[str], None] | None = None) -> "Speaker | None":
        """On the sound device, where it opens, else by the first player that is there; None without either."""
        player = players.available_players()
        ways = [
            way
            for way in (sound_device.default_device(), player.sound if player is not None else None)
            if way is not None
        ]
        return cls(lambda: FirstAvailable(ways), trouble=trouble) if ways else None

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """The next piece of a turn."""
        if turn <= self._flushed:
            return
        playing = self._turns.get(turn)
        if playing is None:
            before = [each.task for each in self._turns.values() if each.task is not None]
            playing = self._turns[turn] = _Turn(sample_rate, self._make())
            playing.task = asyncio.create_task(self._play(playing, before))
            # Not at the end of `_play`: a task that is cancelled before it began never comes there.
            playing.task.add_done_callback(lambda _: self._ended(turn))
        playing.pieces.put_nowait(pcm)

    def end(self, turn: int) -> None:
        """All pieces of the turn have come."""
        if turn in self._turns:
            self._turns[turn].pieces.put_nowait(None)

    def flush(self, turn: int | None) -> None:
        """The turn is stopped; what the player holds of it is lost with the player."""
        for number, playing in self._turns.items():
            if turn in (None, number) and playing.task is not None and not playing.stopped:
                playing.stopped = True
                playing.task.cancel()
                self._flushed = max(self._flushed, number)

    def pause(self) -> None:
        """Stand still."""
        for playing in self._turns.values():
            playing.sound.pause()

    def resume(self) -> None:
        """Go on after `hold`."""
        for playing in self._turns.values():
            playing.sound.resume()

    @property
    def playing(self) -> bool:
        """Whether a microphone in this room hears it."""
        return bool(self._turns) or self._clock() < self._quiet_at

    async def wait_silent(self) -> None:
        """Until all turns have been heard."""
        while tasks := [
            playing.task for playing in self._turns.values() if playing.task is not None
        ]:
            await asyncio.wait(tasks)
            # Whoever is told that a task is done is told in turn.
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Fall silent."""
        self.flush(None)
        await self.wait_silent()

    def _ended(self, turn: int) -> None:
        del self._turns[turn]
        self._quiet_at = self._clock() + DRAIN_S

    async def _play(self, playing: _Turn, before: list[asyncio.Task[None]]) -> None:
        try:
            if before:
                await asyncio.wait(before)
            await self._pass_on(playing)
        except PlayError as error:
            # This turn is lost to the ear; the next one is tried.
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                trouble(str(error))
        finally:
            await playing.sound.aclose()

    async def _pass_on(self, playing: _Turn) -> None:
        await playing.sound.begin(playing.rate)
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(SILENCE_TIMEOUT_S):
                    piece = await playing.pieces.get()
                if piece is None:
                    break
                await playing.sound.write(piece)
        await playing.sound.finish()


def unwritable(path: Path) -> str | None:
    """Why no file can be written there, in one sentence; None where it can. Nothing is written yet."""
    folder = path.absolute().parent
    if path.is_dir():
        return f"{path} is a folder; name a file in it."
    if not folder.is_dir():
        return f"{path} cannot be written: there is no folder {folder}."
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path} cannot be written: you have no right to."
    return None


class FileSink:
    """Keeps the sound of all turns, one after another, and writes it into a WAV file at the end. No microphone hears it."""

    playing = False

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

    def pause(self) -> None:
        """A file does not stand still."""

    def resume(self) -> None:
        """Nor does it go on."""

    async def wait_silent(self) -> None:
        """At once."""

    async def aclose(self) -> None:
        """Write the file."""
        if self._path is not None:
            await asyncio.to_thread(self._path.write_bytes, wav_file(self._pcm, self._rate))
