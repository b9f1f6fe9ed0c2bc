"""Programs that play audio: while it arrives, or only complete files."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dialog_contracts.wav import wav_file


class PlayError(Exception):
    """The reason why there is no sound, as a clause."""


class Sound(Protocol):
    """Playback of one turn, s16le mono.

    Every method except `pause` and `resume` may raise PlayError.
    """

    async def begin(self, rate: int) -> None:
        """Begin with `rate` samples per second."""

    async def write(self, pcm: bytes) -> None:
        """Add audio."""

    async def finish(self) -> None:
        """Wait until all audio has been played."""

    async def aclose(self) -> None:
        """Stop at once."""

    def pause(self) -> None:
        """Pause playback."""

    def resume(self) -> None:
        """Continue after `pause`."""


SoundMaker = Callable[[], Sound]


@dataclass(frozen=True, slots=True)
class Player:
    """A program. `{rate}` in `command` stands for samples per second.

    `stream`: it plays its standard input. Otherwise it plays a file, which is the last argument.
    """

    command: tuple[str, ...]
    stream: bool = True

    @property
    def name(self) -> str:
        """Name of the program."""
        return self.command[0]

    def sound(self) -> Sound:
        """Return the playback of one turn by this program."""
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
    """Return the first program that exists, or None."""
    return next((player for player in PLAYERS if shutil.which(player.name)), None)


class FirstAvailable:
    """Uses the first of several ways to play that accepts the audio.

    A device may exist but reject the sample rate or be in use.
    """

    def __init__(self, ways: Sequence[SoundMaker]) -> None:
        self._ways = ways
        self._sound: Sound | None = None

    async def begin(self, rate: int) -> None:
        """Begin. Raises the PlayError of the last way if all fail."""
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
        """Add audio."""
        assert self._sound is not None
        await self._sound.write(pcm)

    async def finish(self) -> None:
        """Wait until all audio has been played."""
        assert self._sound is not None
        await self._sound.finish()

    async def aclose(self) -> None:
        """Stop at once."""
        if self._sound is not None:
            await self._sound.aclose()

    def pause(self) -> None:
        """Pause playback."""
        if self._sound is not None:
            self._sound.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        if self._sound is not None:
            self._sound.resume()


class ProgramSound:
    """Plays one turn through the standard input of its own process.

    The process can be killed at any moment.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._said = b""
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, rate: int) -> None:
        """Start the program."""
        await self._start([part.format(rate=rate) for part in self._command])

    async def write(self, pcm: bytes) -> None:
        """Add audio; waits while the program has enough."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(pcm)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            await self._ended()

    async def finish(self) -> None:
        """Wait until the program has played everything and ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._ended()

    async def aclose(self) -> None:
        """Kill the program."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def pause(self) -> None:
        """Suspend the program; the sound card plays what it has buffered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._signal(signal.SIGCONT)

    async def _start(self, command: list[str]) -> None:
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            # Ctrl-C in the terminal must not reach the program.
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
    """Plays one turn by a program that plays only complete files."""

    def __init__(self, command: tuple[str, ...]) -> None:
        super().__init__(command)
        self._pcm, self._rate = bytearray(), 0

    async def begin(self, rate: int) -> None:
        """Do nothing yet."""
        self._rate = rate

    async def write(self, pcm: bytes) -> None:
        """Collect the audio."""
        self._pcm += pcm

    async def finish(self) -> None:
        """Write a file and play it."""
        # The file exists until the context ends.
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(wav_file(self._pcm, self._rate))
            file.flush()
            await self._start([*self._command, file.name])
            await self._ended()
