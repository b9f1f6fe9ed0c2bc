"""Where the audio of turns goes: to the loudspeaker while it arrives, or into a file."""

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
"""Seconds for which a microphone may still record the voice after the player has ended."""

SILENCE_TIMEOUT_S: Final = 10.0
"""Seconds without audio after which a turn counts as ended."""

NO_PLAYER: Final = f"no sound: found neither PortAudio nor one of {', '.join(player.name for player in players.PLAYERS)}"


class AudioSink(Protocol):
    """Destination of the audio of turns."""

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """Add audio of a turn."""

    def end(self, turn: int) -> None:
        """All audio of the turn has arrived."""

    def flush(self, turn: int | None) -> None:
        """Stop the turn, or all turns for None, and discard its audio."""

    def pause(self) -> None:
        """Pause playback."""

    def resume(self) -> None:
        """Continue after `pause`."""

    @property
    def playing(self) -> bool:
        """Whether a microphone in the room may record it."""

    async def wait_silent(self) -> None:
        """Wait until all ended turns have been played."""

    async def aclose(self) -> None:
        """Stop playing and release all resources."""


@dataclass(eq=False)
class _Turn:
    """A turn that plays or waits to be played."""

    rate: int
    sound: Sound
    pieces: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    stopped: bool = False


class Speaker:
    """Plays turns one after another, each while it arrives.

    `trouble` is called with the first reason why there is no sound; later turns are tried as well.
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
        """The last stopped turn; audio of it that arrives later is discarded."""

    @classmethod
    def default_output(cls, trouble: Callable[[str], None] | None = None) -> "Speaker | None":
        """Use the sound device, or else the first player that exists; None without either."""
        player = players.available_players()
        ways = [
            way
            for way in (sound_device.default_device(), player.sound if player is not None else None)
            if way is not None
        ]
        return cls(lambda: FirstAvailable(ways), trouble=trouble) if ways else None

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """Add audio of a turn, and begin to play a new one."""
        if turn <= self._flushed:
            return
        playing = self._turns.get(turn)
        if playing is None:
            before = [each.task for each in self._turns.values() if each.task is not None]
            playing = self._turns[turn] = _Turn(sample_rate, self._make())
            playing.task = asyncio.create_task(self._play(playing, before))
            # A callback, because a task that is cancelled before it began never executes `finally`.
            playing.task.add_done_callback(lambda _: self._ended(turn))
        playing.pieces.put_nowait(pcm)

    def end(self, turn: int) -> None:
        """All audio of the turn has arrived."""
        if turn in self._turns:
            self._turns[turn].pieces.put_nowait(None)

    def flush(self, turn: int | None) -> None:
        """Stop the turn, or all turns for None; what the player has buffered is discarded too."""
        for number, playing in self._turns.items():
            if turn in (None, number) and playing.task is not None and not playing.stopped:
                playing.stopped = True
                playing.task.cancel()
                self._flushed = max(self._flushed, number)

    def pause(self) -> None:
        """Pause playback."""
        for playing in self._turns.values():
            playing.sound.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        for playing in self._turns.values():
            playing.sound.resume()

    @property
    def playing(self) -> bool:
        """Whether a microphone in the room may record it."""
        return bool(self._turns) or self._clock() < self._quiet_at

    async def wait_silent(self) -> None:
        """Wait until all turns have been played."""
        while tasks := [
            playing.task for playing in self._turns.values() if playing.task is not None
        ]:
            await asyncio.wait(tasks)
            # The callbacks of a finished task run in the next iteration of the loop.
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Stop playing."""
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
            # This turn is not played; the next one is tried.
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
    """Return a sentence if the file cannot be written, else None. Writes nothing."""
    folder = path.absolute().parent
    if path.is_dir():
        return f"{path} is a folder; name a file in it."
    if not folder.is_dir():
        return f"{path} cannot be written: there is no folder {folder}."
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path} cannot be written: you have no right to."
    return None


class FileSink:
    """Collects the audio of all turns, and writes it into a WAV file at the end.

    Without a path the audio is discarded.
    """

    playing = False

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pcm = bytearray()
        self._rate = 24_000

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        """Add audio of a turn."""
        if self._path is not None:
            self._rate = sample_rate
            self._pcm += pcm

    def end(self, turn: int) -> None:
        """Do nothing."""

    def flush(self, turn: int | None) -> None:
        """Keep what has arrived."""

    def pause(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""

    async def wait_silent(self) -> None:
        """Return at once."""

    async def aclose(self) -> None:
        """Write the file. Raises OSError."""
        if self._path is not None:
            await asyncio.to_thread(self._path.write_bytes, wav_file(self._pcm, self._rate))
