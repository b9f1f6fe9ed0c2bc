import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from vtuber_cli import sound_device
from vtuber_cli.players import PlayError
from vtuber_cli.sound_device import DeviceSound


class PortAudio:
    """A sound device that takes 10 ms at a time, as fast as a thread can."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.heard = bytearray()
        self.rates = list[int]()

    def RawOutputStream(
        self, *, samplerate: int, callback: Callable[..., None], **_: object
    ) -> "Stream":
        if self.broken:
            raise RuntimeError(
                "Error opening RawOutputStream: Device unavailable [PaErrorCode -9985]"
            )
        self.rates.append(samplerate)
        return Stream(self, samplerate // 100, callback)


class Stream:
    def __init__(self, audio: PortAudio, frames: int, callback: Callable[..., None]) -> None:
        self._audio, self._frames, self._callback = audio, frames, callback
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.001):
            out = bytearray(self._frames * 2)
            self._callback(memoryview(out), self._frames, None, None)
            self._audio.heard += out

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    abort = stop

    def close(self) -> None:
        assert self._over.is_set()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


def sound_of(audio: PortAudio) -> bytes:
    return bytes(audio.heard).strip(b"\0")


async def test_it_plays_while_more_is_to_come_and_everything_to_its_end() -> None:
    audio = PortAudio()
    sound = DeviceSound(audio)
    await sound.begin(24_000)
    await sound.write(b"\1" * 1_000)
    await until(lambda: sound_of(audio) == b"\1" * 1_000)
    await sound.write(b"\2" * 700)
    async with asyncio.timeout(10):
        await sound.finish()
    assert bytes(audio.heard).replace(b"\0", b"") == b"\1" * 1_000 + b"\2" * 700
    assert audio.rates == [24_000]
    await sound.aclose()


async def test_it_stands_still_goes_on_and_falls_silent_at_once() -> None:
    audio = PortAudio()
    sound = DeviceSound(audio)
    await sound.begin(24_000)
    sound.pause()
    await sound.write(b"\1" * 48_000)
    before = len(audio.heard)
    await until(lambda: len(audio.heard) > before + 2_000)
    assert sound_of(audio) == b""
    sound.resume()
    await until(lambda: sound_of(audio) != b"")
    await sound.aclose()
    assert len(sound_of(audio)) < 48_000


async def test_a_device_that_does_not_open_is_one_clause() -> None:
    with pytest.raises(PlayError, match="the sound device does not open .*Device unavailable"):
        await DeviceSound(PortAudio(broken=True)).begin(24_000)


@pytest.mark.parametrize(
    "error", [OSError("PortAudio library not found"), ValueError("No output device"), ImportError()]
)
def test_without_portaudio_or_a_device_there_is_none(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def missing(name: str) -> Any:
        raise error

    monkeypatch.setattr("importlib.import_module", missing)
    assert sound_device.default_device() is None
