"""A microphone on the real processes, as any client may send it: samples or Opus.

Who speaks is heard to the end and answered in voice.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from dialog_voice.voice import SAMPLE_RATE
from e2e import timeouts
from e2e.harness.clients import watching
from e2e.harness.recordings import opus_packets, speech
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes

FRAME_S = 0.02
SILENCE_S = 1.0
"""Longer than what ends an utterance without a model of its own."""


def samples(pcm: bytes) -> list[bytes]:
    step = int(SAMPLE_RATE * FRAME_S) * 2
    return [pcm[at : at + step] for at in range(0, len(pcm) - step + 1, step)]


def packets(pcm: bytes) -> list[bytes]:
    return opus_packets(pcm, SAMPLE_RATE)


@pytest.mark.parametrize(("form", "framed"), [("pcm_s16le", samples), ("opus", packets)])
async def test_who_speaks_is_heard_and_answered(
    with_fallback: Stack, form: str, framed: Callable[[bytes], list[bytes]]
) -> None:
    name = f"mic-{form}"
    said = (await speech("What is your name?"))[44:] + bytes(int(SAMPLE_RATE * SILENCE_S) * 2)
    address = f"{with_fallback.ws}/ws/input?sessionId={name}"
    async with (
        watching(with_fallback.ws, name) as viewer,
        connect(
            address, subprotocols=[Subprotocol("vtuber.v2")], compression=None, proxy=None
        ) as microphone,
    ):
        start = {
            "type": "MIC_START",
            "sessionId": name,
            "format": form,
            "sampleRate": SAMPLE_RATE,
            "frameMs": FRAME_S * 1000,
        }
        await microphone.send(json.dumps(start))
        told = asyncio.create_task(until_final(microphone))
        for frame in framed(said):
            await microphone.send(frame)
            await asyncio.sleep(FRAME_S)
        async with asyncio.timeout(timeouts.TURN):
            frames = await told
        kinds = [frame["type"] for frame in frames]
        assert kinds.count("SPEECH_STARTED") == 1
        assert kinds.index("SPEECH_STARTED") < kinds.index("FINAL")
        turn = frames[-1]["turn"]
        await viewer.until(
            lambda seen: [end for end in seen.of("CONTROL", "END") if end["turn"] == turn]
        )
        assert numpy.frombuffer(b"".join(chunk.payload for chunk in viewer.chunks), "<i2").any(), (
            "a voice, not silence"
        )
        assert viewer.seconds_of(turn) > 0
        phases = viewer.phases()
        assert phases.index("LISTENING") < phases.index("THINKING"), (
            "whoever watches sees that she listens"
        )


async def until_final(microphone: ClientConnection) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    async for message in microphone:
        frames.append(json.loads(message))
        if frames[-1]["type"] == "FINAL":
            return frames
    raise AssertionError(f"the socket ended after {[frame['type'] for frame in frames]}")
