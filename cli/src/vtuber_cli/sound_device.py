"""Plays audio on the sound device through PortAudio (`sounddevice`), if both exist."""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any, Final

from vtuber_cli.players import PlayError, SoundMaker

POLL_INTERVAL_S: Final = 0.02
FULL_S: Final = 60.0
"""Seconds of audio that may be queued; `write` waits beyond it."""


def default_device() -> SoundMaker | None:
    """Return a factory of sounds on the default device, or None without PortAudio or a device."""
    with _silent():
        try:
            library = importlib.import_module("sounddevice")
            library.query_devices(kind="output")
        # OSError: no PortAudio. Its own errors, for no device, are ValueError and PortAudioError.
        except Exception:  # noqa: BLE001 -- a library of this machine may raise anything; programs remain
            return None
    return lambda: DeviceSound(library)


class DeviceSound:
    """One turn. PortAudio fetches samples in its own thread; missing samples become silence."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._stream: Any = None
        self._waiting = bytearray()
        self._rate = 0
        self._held = False

    async def begin(self, rate: int) -> None:
        """Open the device. Raises PlayError."""
        self._rate = rate
        try:
            with _silent():
                self._stream = self._library.RawOutputStream(
                    samplerate=rate, channels=1, dtype="int16", latency="low", callback=self._fetch
                )
                self._stream.start()
        except Exception as error:  # a library of this machine may raise anything
            raise PlayError(f"the sound device does not open ({error})") from error

    async def write(self, pcm: bytes) -> None:
        """Queue samples; wait while a minute of audio is queued."""
        while len(self._waiting) > FULL_S * self._rate * 2:  # noqa: ASYNC110 -- PortAudio's thread sets no Event
            await asyncio.sleep(POLL_INTERVAL_S)
        self._waiting += pcm

    async def finish(self) -> None:
        """Wait until the device has played everything."""
        while self._waiting:  # noqa: ASYNC110 -- PortAudio's thread sets no Event
            await asyncio.sleep(POLL_INTERVAL_S)
        await asyncio.to_thread(self._stream.stop)
        self._stream.close()
        self._stream = None

    async def aclose(self) -> None:
        """Discard what is queued and close the device."""
        self._waiting.clear()
        if self._stream is not None:
            self._stream.abort()
            self._stream.close()
            self._stream = None

    def pause(self) -> None:
        """Play silence until `resume`."""
        self._held = True

    def resume(self) -> None:
        """Continue to play."""
        self._held = False

    def _fetch(self, out: Any, frames: int, time: Any, status: Any) -> None:
        # Runs in PortAudio's thread; each single operation on a bytearray is atomic.
        size = frames * 2
        piece = b"" if self._held else bytes(self._waiting[:size])
        del self._waiting[: len(piece)]
        out[:] = piece + bytes(size - len(piece))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Discard stderr meanwhile: ALSA writes many lines there if there is no sound card."""
    try:
        kept = os.dup(2)
        nothing = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
