"""Audio of the user for `vtuber talk`: from a recording program, or from a WAV file."""

import asyncio
import contextlib
import shutil
import sys
import wave
from array import array
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

FRAME_MS: Final = 20
SAMPLE_RATE: Final = 16_000

RECORDERS: Final[tuple[tuple[str, ...], ...]] = (
    ("arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"),
    ("parec", "--raw", "--format=s16le", "--rate=16000", "--channels=1", "--latency-msec=20"),
    ("pw-record", "--raw", "--format=s16", "--rate=16000", "--channels=1", "-"),
    ("rec", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-r", "16000", "-c", "1", "-"),
)
FFMPEG: Final = (
    "ffmpeg",
    "-nostdin",
    "-loglevel",
    "error",
    "-f",
    "{input}",
    "-i",
    "{device}",
    "-ac",
    "1",
    "-ar",
    "16000",
)
_RAW_OUT: Final = ("-f", "s16le", "-")


class RecordError(Exception):
    """No audio can be recorded or read; the message says what to do."""


class AudioSource(Protocol):
    """Source of a user's audio."""

    sample_rate: int
    has_echo: bool
    """Whether it records what this machine plays."""

    def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield frames of 20 ms, s16le mono, in real time. Raises RecordError."""


def _command() -> tuple[str, ...] | None:
    for command in RECORDERS:
        if shutil.which(command[0]):
            return command
    if shutil.which(FFMPEG[0]):
        source = (
            {"input": "avfoundation", "device": ":default"}
            if sys.platform == "darwin"
            else {"input": "pulse", "device": "default"}
        )
        return (*(part.format(**source) for part in FFMPEG), *_RAW_OUT)
    return None


@dataclass
class Microphone:
    """The microphone of this machine, through a recording program."""

    command: tuple[str, ...]
    sample_rate: int = SAMPLE_RATE
    has_echo: bool = True

    @classmethod
    def default_input(cls) -> "Microphone":
        """Use the first recording program that exists. Raises RecordError."""
        command = _command()
        if command is None:
            names = ", ".join(each[0] for each in RECORDERS)
            raise RecordError(
                f"found no recording program ({names}, ffmpeg): install one, e.g. alsa-utils or "
                "sox, or use --wav FILE"
            )
        return cls(command)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield frames until closed. Raises RecordError when the program ends by itself."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        said = asyncio.create_task(process.stderr.read())
        size = self.sample_rate * 2 * FRAME_MS // 1_000
        try:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    yield await process.stdout.readexactly(size)
            lines = (await said).decode("utf-8", "replace").strip().splitlines()
            why = lines[-1] if lines else f"exit status {await process.wait()}"
            raise RecordError(f"{self.command[0]} ended: {why[:200]}")
        finally:
            if process.returncode is None:
                process.kill()
            # asyncio waits for the end of the pipes, and reads them only on demand.
            await process.stdout.read()
            await process.wait()
            await asyncio.wait([said])


@dataclass
class Recording:
    """A WAV file with 16-bit samples; only its first channel is used."""

    pcm: bytes
    sample_rate: int
    has_echo: bool = False

    @classmethod
    def from_file(cls, path: Path) -> "Recording":
        """Read the whole file. Raises RecordError."""
        try:
            with wave.open(str(path), "rb") as file:
                channels, width, rate = (
                    file.getnchannels(),
                    file.getsampwidth(),
                    file.getframerate(),
                )
                data = file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error) as error:
            raise RecordError(
                f"{path} cannot be read as a WAV file: {error or type(error).__name__}"
            ) from error
        if width != 2 or not 8_000 <= rate <= 48_000:
            raise RecordError(
                f"{path} has {8 * width} bits at {rate} Hz; required are 16 bits at 8000 to 48000 "
                "Hz"
            )
        return cls(
            array("h", data[: len(data) // (2 * channels) * 2 * channels])[::channels].tobytes(),
            rate,
        )

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield all frames, none earlier than it would have been spoken."""
        size = self.sample_rate * FRAME_MS // 1_000 * 2
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(range(0, len(self.pcm), size)):
            await asyncio.sleep(began + number * FRAME_MS / 1_000 - loop.time())
            yield self.pcm[start : start + size]


def open_source(wav: Path | None) -> AudioSource:
    """Return the file or the microphone. Raises RecordError."""
    return Recording.from_file(wav) if wav is not None else Microphone.default_input()
