"""The page's microphone: what it hears reaches asr, her reply stands still while somebody speaks, and words become turns.

Where it matters what asr understands and when, it is played by the test; said, heard and answered is the real one, without models.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from e2e.harness.browser import CALM, Window, browser
from e2e.harness.recordings import speech
from e2e.harness.stack import Stack, running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="session"),
]


@dataclass
class Asr:
    """Hears, and says what it is told to."""

    start: dict[str, Any] = field(default_factory=dict)
    audio: bytearray = field(default_factory=bytearray)
    ended: bool = False
    socket: ServerConnection | None = None

    async def __call__(self, socket: ServerConnection) -> None:
        self.socket = socket
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    self.audio += message
                    continue
                frame = json.loads(message)
                self.ended = frame["type"] == "MIC_STOP"
                self.start = frame if frame["type"] == "MIC_START" else self.start
                if self.ended:
                    return
        except ConnectionClosed:
            return

    async def says(self, **frame: Any) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps(frame))

    async def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="session")
async def asr() -> Asr:
    return Asr()


@pytest_asyncio.fixture(loop_scope="session")
async def stack(asr: Asr, tmp_path: Path) -> AsyncIterator[Stack]:
    async with serve(asr, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        env = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
        with running(
            tmp_path / "data", env, changes=[f"input-handler.ASR_URL=ws://127.0.0.1:{port}/ws/asr"]
        ) as made:
            yield made


@asynccontextmanager
async def speaking(spoken: Path, *, again: bool = True) -> AsyncIterator[Browser]:
    """A browser into whose microphone somebody speaks, over and over or once."""
    spoken.write_bytes(await speech("Hello there, who are you, and what do you do all day?"))
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    file = f"--use-file-for-fake-audio-capture={spoken}{'' if again else '%noloop'}"
    async with browser(*microphone, file) as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def speaker(tmp_path: Path) -> AsyncIterator[Browser]:
    async with speaking(tmp_path / "microphone.wav") as chromium:
        yield chromium


async def test_who_speaks_is_heard_and_cuts_in(stack: Stack, asr: Asr, speaker: Browser) -> None:
    window = await Window.open(speaker, stack.url, "mic", **CALM)
    await window.page.click(".mic")
    await window.until("v.microphone === 'on'")
    await asr.until(lambda: len(asr.audio) > 64_000)
    assert (asr.start["sessionId"], asr.start["format"], asr.start["frameMs"]) == (
        "mic",
        "pcm_s16le",
        20,
    )
    samples = np.frombuffer(bytes(asr.audio), dtype="<i2")
    assert np.abs(samples).max() > 1_000, "it is the sound of the microphone"

    await asr.says(type="SPEECH_STARTED", atMs=100)
    await asr.says(type="PARTIAL", text="tell me about", speechMs=400)
    await window.shows("tell me about")
    await window.shows("Listening")
    await asr.says(
        type="UTTERANCE", text="Tell me about yourself, please.", lang="en", startMs=100, endMs=1500
    )
    await window.until(
        "v.phase === 'SPEAKING' && v.playhead?.sounding && v.playhead.offsetMs > 400"
    )
    assert "Tell me about yourself, please." in await window.page.inner_text("#turns")

    await asr.says(type="SPEECH_STARTED", atMs=5_000)
    await window.until("v.rms < 0.005 && !v.playhead.sounding", 3)
    stood = (await window.state())["playhead"]["offsetMs"]
    await asr.says(type="UTTERANCE", text="uh-huh", lang="en", startMs=5_000, endMs=5_400)
    await window.until("v.playhead.sounding && v.rms > 0.01", 3)
    assert (await window.state())["playhead"]["offsetMs"] >= stood - 400
    assert (await window.state())["turn"] == 1, "a nod is no turn"

    await asr.says(type="SPEECH_STARTED", atMs=8_000)
    await asr.says(type="PARTIAL", text="wait stop", speechMs=500)
    await window.until("v.phase === 'INTERRUPTED' || v.phase === 'IDLE'", 3)
    await asr.says(
        type="UTTERANCE",
        text="Wait, stop. What is your name?",
        lang="en",
        startMs=8_000,
        endMs=9_900,
    )
    await window.until("v.turn === 2 && v.phase === 'SPEAKING'")
    await window.page.click(".mic")
    await window.until("v.microphone === 'off'")
    await asr.until(lambda: asr.ended)
    assert window.problems == []


async def test_without_echo_cancellation_they_speak_in_turns(
    stack: Stack, asr: Asr, speaker: Browser
) -> None:
    """What her own voice would be in the microphone is not sent: it would cut her off."""
    window = await Window.open(speaker, stack.url, "echo", **CALM)
    await window.page.evaluate(
        "() => { MediaStreamTrack.prototype.getSettings = () => ({ echoCancellation: false }); }"
    )
    await window.page.click(".mic")
    await window.shows("speak when she is silent")
    await asr.until(lambda: len(asr.audio) > 16_000)
    await window.say("Tell me about yourself, please.")
    await window.until("v.playhead?.sounding && v.playhead.offsetMs > 400")
    before = len(asr.audio)
    await asyncio.sleep(1)
    assert len(asr.audio) == before
    assert (await window.state())["playhead"]["sounding"]
    await window.page.keyboard.press("Escape")
    await asr.until(lambda: len(asr.audio) > before + 16_000)
    assert window.problems == []


async def test_nobody_listens_and_the_page_says_so(as_newcomer: Stack, speaker: Browser) -> None:
    window = await Window.open(speaker, as_newcomer.url, "deaf", **CALM)
    await window.page.click(".mic")
    await window.shows("She cannot be reached right now")
    await window.until("v.microphone === 'off'")


async def test_said_heard_and_answered(with_fallback: Stack, tmp_path: Path) -> None:
    async with speaking(tmp_path / "once.wav", again=False) as chromium:
        window = await Window.open(chromium, with_fallback.url, "well-said", **CALM)
        await window.page.click(".mic")
        await window.until("v.microphone === 'on'")
        # Without a model it cannot know the words, and says so; when speech began and ended it
        # knows.
        await window.shows("No speech model is installed: I sent a recording of", 15)
        await window.until("v.turn === 1 && v.samplesPlayed > 2000", 15)
        assert window.problems == []
