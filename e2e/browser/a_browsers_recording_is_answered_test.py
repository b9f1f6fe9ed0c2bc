"""What a real browser's MediaRecorder makes of a real microphone's sound.

An older client sends it, and is answered once.
"""

import asyncio
import io
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
import pytest_asyncio

from e2e import timeouts
from e2e.clients.legacy import LegacyClient
from e2e.harness.browser import browser
from e2e.harness.clients import get
from e2e.harness.recordings import speech
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]
RECORDED_S = 2.0
RECORD = """
async ([ms, every]) => {
  const microphone = await navigator.mediaDevices.getUserMedia({audio: true});
  const recorder = new MediaRecorder(microphone, {mimeType: "audio/webm;codecs=opus"});
  const pieces = [];
  recorder.ondataavailable = ({data}) => pieces.push(data);
  const stopped = new Promise(resolve => { recorder.onstop = resolve; });
  recorder.start(every);
  await new Promise(resolve => setTimeout(resolve, ms));
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def recording(with_fallback: Stack, tmp_path: Path) -> AsyncIterator[bytes]:
    """About two seconds of somebody who speaks, recorded on the product's page; the file."""
    spoken = tmp_path / "microphone.wav"
    spoken.write_bytes(await speech("Hello there, who are you, and what do you do all day?"))
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    async with browser(*microphone, f"--use-file-for-fake-audio-capture={spoken}") as chromium:
        page = await chromium.new_page()
        await page.goto(with_fallback.url)
        yield b64decode(await page.evaluate(RECORD, [RECORDED_S * 1000, 250]))


def length_s(data: bytes) -> float:
    """Of a recording's sound.

    A browser that stood still meanwhile recorded less than it was asked to.
    """
    with av.open(io.BytesIO(data), mode="r") as container:
        return float(
            sum(
                frame.samples / frame.sample_rate
                for frame in container.decode(container.streams.audio[0])
            )
        )


async def test_it_is_answered_once_and_honestly(with_fallback: Stack, recording: bytes) -> None:
    data = recording
    assert data[:4] == b"\x1a\x45\xdf\xa3", "webm, as EBML begins"
    reply = await LegacyClient(with_fallback.ws).send_recording(data)
    assert reply.error is None
    assert len(reply.text.split()) == 8
    assert reply.audio[:4] == b"RIFF"
    async with asyncio.timeout(timeouts.TURN):
        while not (
            turns := (await get(f"{with_fallback.url}/sessions/{reply.task_id}/turns"))["turns"]
        ):
            await asyncio.sleep(0.05)
    (turn,) = turns
    assert turn["reply"].strip() == reply.text.strip()
    # No speech model is installed here; what was sent is said by its length, which only its decoded
    # sound tells.
    assert "No speech model is installed" in turn["user"]
    assert float(turn["user"].partition("a recording of ")[2].split()[0]) == pytest.approx(
        length_s(data), abs=0.2
    )
