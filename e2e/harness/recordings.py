"""Recordings as browsers make them, and what somebody says into a microphone."""

import io
import math
from fractions import Fraction
from typing import Final

import av
import numpy

from dialog_contracts import wav
from dialog_voice.providers.espeak.voice import EspeakVoice

RATE: Final = 48_000


def webm(seconds: float) -> bytes:
    """A tone as webm with Opus, as MediaRecorder writes it."""
    return encoded("webm", "libopus", seconds)


def encoded(container: str, codec: str, seconds: float) -> bytes:
    """A tone of 440 Hz, mono."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        samples = (
            8000 * numpy.sin(2 * math.pi * 440 * numpy.arange(int(seconds * RATE)) / RATE)
        ).astype(numpy.int16)
        step = RATE // 50
        for at in range(0, len(samples) - step + 1, step):
            frame = av.AudioFrame.from_ndarray(
                samples[at : at + step].reshape(1, -1), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def opus_packets(pcm: bytes, rate: int) -> list[bytes]:
    """Samples as Opus packets of 20 ms without a container, as WebCodecs makes them."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", av.AudioFormat("s16")
    encoder.options = {"frame_duration": "20"}
    sound, step = numpy.frombuffer(pcm, "<i2"), rate // 50
    packets: list[bytes] = []
    for at in range(0, len(sound) - step + 1, step):
        frame = av.AudioFrame.from_ndarray(
            sound[at : at + step].reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = rate, None
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


async def speech(text: str) -> bytes:
    """Somebody who says it, as a WAV."""
    voice = EspeakVoice()
    try:
        return wav.wav_file(b"".join([piece.pcm async for piece in voice.synthesize(text, "en")]))
    finally:
        await voice.aclose()
