"""Programs of this machine that play sound: while it comes, or, those that can only do that, when all has come."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dialog_contracts.wav import wav_file


class PlayError(Exception):
    """Why there is no sound, in one clause."""


class Sound(Protocol):
    """One turn on its way to the ear: s16le mono samples. Every method may raise CannotPlay, but for `hold` and `go_on`."""

    async def begin(self, rate: int) -> None:
        """`rate`: samples a second."""

    async def write(self, pcm: bytes) -> None:
        """The next piece."""

    async def finish(self) -> None:
        """Nothing more comes: until all has been heard."""

    async def aclose(self) -> None:
        """Fall silent, now."""

    def pause(self) -> None:
        """Stand still."""

    def resume(self) -> None:
        """Go on after `hold`."""


SoundMaker = Callable[[], Sound]


@dataclass(frozen=True, slots=True)
class Player:
    """A program. `stream`: it plays its input while it comes; {rate}: samples a second. Else it plays a file that is named last."""

    command: tuple[str, ...]
    stream: bool = True

    @property
    def name(self) -> str:
        """Of the program."""
        return self.command[0]

    def sound(self) -> Sound:
        """One turn by this program."""
        return ProgramSound(self.command) if self.stream else FileSound(self.command)


PLAYERS: Final = (
    Player(("aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}")),
    Player(("paplay", "--raw", "--format=s16le", "--channels=1", "--rate={rate}")),
    Player(
        (
            "ffplay",
            "-nodisp",
            "-autoexit",
            "-loglevel",
            "quiet",
            "-f",
            "s16le",
            "-ar",
            "{rate}",
            "-i",
            "-",
        )
    ),
    Player(("play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "{rate}", "-")),
    Player(("afplay",), stream=False),
)


def available_players() -> Player | None:
    """The first that is there."""
    return next((player for player in PLAYERS if shutil.which(player.name)), None)


class FirstAvailable:
    """By the first of several ways that takes these samples: a device may be there and refuse the rate, or be somebody else's now."""

    def __init__(self, ways: Sequence[SoundMaker]) -> None:
        self._ways = ways
        self._sound: Sound | None = None

    async def begin(self, rate: int) -> None:
        """Raises what the last one says."""
        for way in self._ways:
            self._sound = way()
            try:
                await self._sound.begin(rate)
            except PlayError:
                if way is self._ways[-1]:
                    raise
                await self._sound.aclose()
            else:
                return

    async def write(self, pcm: bytes) -> None:
        """The next piece."""
        assert self._sound is not None
        await self._sound.write(pcm)

    async def finish(self) -> None:
        """Until all has been heard."""
        assert self._sound is not None
        await self._sound.finish()

    async def aclose(self) -> None:
        """Fall silent."""
        if self._sound is not None:
            await self._sound.aclose()

    def pause(self) -> None:
        """Stand still."""
        if self._sound is not None:
            self._sound.pause()

    def resume(self) -> None:
        """Go on after `hold`."""
        if self._sound is not None:
            self._sound.resume()


class ProgramSound:
    """By the input of a process of its own, which can be ended in the middle of a word."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._said = b""
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, rate: int) -> None:
        """Start the program."""
        await self._start([part.format(rate=rate) for part in self._command])

    async def write(self, pcm: bytes) -> None:
        """Wait while it has enough."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(pcm)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            await self._ended()

    async def finish(self) -> None:
        """Until it has played everything and ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._ended()

    async def aclose(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def pause(self) -> None:
        """It is stopped, and sounds for as long as the sound card has something."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `hold`."""
        self._signal(signal.SIGCONT)

    async def _start(self, command: list[str]) -> None:
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            # A session of its own: Ctrl-C is ours to pass on.
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=quiet, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise PlayError(f"{command[0]} cannot be started ({error.strerror})") from error
        self._listening = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while said := await process.stderr.read(4096):
            self._said = (self._said + said)[-4096:]

    async def _ended(self) -> None:
        assert self._process is not None
        status = await self._process.wait()
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=1)
        if status != 0:
            lines = self._said.decode("utf-8", "replace").strip().splitlines()
            raise PlayError(
                f"{self._command[0]} cannot play here ({lines[-1].strip() if lines else f'it ended with {status}'})"
            )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


class FileSound(ProgramSound):
    """By a program that plays only whole files: when all has come."""

    def __init__(self, command: tuple[str, ...]) -> None:
        super().__init__(command)
        self._pcm, self._rate = bytearray(), 0

    async def begin(self, rate: int) -> None:
        """Nothing yet."""
        self._rate = rate

    async def write(self, pcm: bytes) -> None:
        """Keep it."""
        self._pcm += pcm

    async def finish(self) -> None:
        """Play all of it."""
        # Kept open, and so in being, until it has been played.
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(wav_file(self._pcm, self._rate))
            file.flush()
            await self._start([*self._command, file.name])
            await self._ended()
