"""The sound device of this machine by PortAudio (`sounddevice`), where that is there and knows a device."""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any, Final

from vtuber_cli.players import PlayError, SoundMaker

POLL_INTERVAL_S: Final = 0.02
FULL_S: Final = 60.0
"""So much may wait to be played; whoever brings more waits."""


def default_device() -> SoundMaker | None:
    """Sounds on the default device; None where there is no PortAudio or no device."""
    with _silent():
        try:
            library = importlib.import_module("sounddevice")
            library.query_devices(kind="output")
        # OSError: no PortAudio. Its own errors, for no device, are ValueError and PortAudioError.
        except Exception:  # noqa: BLE001 -- a library of this machine: whatever it says, there are programs
            return None
    return lambda: DeviceSound(library)


class DeviceSound:
    """One turn. PortAudio fetches samples in a thread of its own; bytes that are not there yet are silence."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._stream: Any = None
        self._waiting = bytearray()
        self._rate = 0
        self._held = False

    async def begin(self, rate: int) -> None:
        """Open the device."""
        self._rate = rate
        try:
            with _silent():
                self._stream = self._library.RawOutputStream(
                    samplerate=rate, channels=1, dtype="int16", latency="low", callback=self._fetch
                )
                self._stream.start()
        except (
            Exception
        ) as error:  # a library of this machine: whatever it says is why there is no sound
            raise PlayError(f"the sound device does not open ({error})") from error

    async def write(self, pcm: bytes) -> None:
        """Wait while a minute of sound waits."""
        while len(self._waiting) > FULL_S * self._rate * 2:  # noqa: ASYNC110 -- PortAudio's thread sets no Event
            await asyncio.sleep(POLL_INTERVAL_S)
        self._waiting += pcm

    async def finish(self) -> None:
        """Until the device has everything, and has played it."""
        while self._waiting:  # noqa: ASYNC110 -- the same
            await asyncio.sleep(POLL_INTERVAL_S)
        await asyncio.to_thread(self._stream.stop)
        self._stream.close()
        self._stream = None

    async def aclose(self) -> None:
        """Fall silent."""
        self._waiting.clear()
        if self._stream is not None:
            self._stream.abort()
            self._stream.close()
            self._stream = None

    def pause(self) -> None:
        """Silence, until `go_on`."""
        self._held = True

    def resume(self) -> None:
        """Go on."""
        self._held = False

    def _fetch(self, out: Any, frames: int, time: Any, status: Any) -> None:
        # In PortAudio's thread; single operations on a bytearray are whole.
        size = frames * 2
        piece = b"" if self._held else bytes(self._waiting[:size])
        del self._waiting[: len(piece)]
        out[:] = piece + bytes(size - len(piece))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """ALSA writes pages to the error output where there is no sound card."""
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
