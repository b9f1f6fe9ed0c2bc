"""Tries real models on sentences spoken by espeak, and reports latencies.

Run it with `python -m asr.testing.model_check <models>`; `vtuber models --try` starts it. espeak is
hard to understand for a model that was trained on people, so the check is only that every part
works, and how long it takes. It needs dialog-voice, which asr itself does not.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import numpy as np

from asr.app import choose
from asr.decoder import RATE, Samples
from asr.settings import AsrSettings
from asr.streaming import backends
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.pipeline import StreamingRecognizer
from dialog_contracts.input_socket import MicStart, Partial, Utterance
from dialog_contracts.model import WireModel
from dialog_telemetry import log_config, metrics
from dialog_voice.providers.espeak.voice import EspeakVoice
from dialog_voice.voice import SAMPLE_RATE

SAID: Final = (
    ("What game are you going to play tonight?", "en"),
    ("I had a long day at work, and I would like to hear a story.", "en"),
    ("Stop.", "en"),
    ("今天晚上我们玩什么游戏？", "zh"),
    ("你好，我叫小明，很高兴认识你。", "zh"),
)
FRAME_MS: Final = 20
BEFORE_S: Final = 1.0
AFTER_S: Final = 2.5
NOISE: Final = 0.0005
"""Level of a quiet room, about -66 dB: no microphone returns silence."""


@dataclass(slots=True)
class Recognized:
    """The messages about one sentence, with times of `time.monotonic`."""

    partials: list[tuple[float, str]] = field(default_factory=list)
    utterances: list[tuple[float, Utterance]] = field(default_factory=list)

    async def __call__(self, message: WireModel) -> None:
        """Record a message."""
        if isinstance(message, Partial):
            self.partials.append((time.monotonic(), message.text))
        elif isinstance(message, Utterance):
            self.utterances.append((time.monotonic(), message))


async def main(models: Path) -> None:
    """Play all sentences in real time and print the results.

    Raises ModelFailed, and what faster-whisper raises for an invalid model.
    """
    recognizer = choose(AsrSettings(models_dir=models))
    await recognizer.warm()
    in_use = await asyncio.to_thread(backends.load, models, recognizer, EndpointingConfig())
    _say("heard with: " + ", ".join(f"{part} {name}" for part, name in in_use.names.items()))
    voice = EspeakVoice()
    waited: list[float] = []
    try:
        for text, lang in SAID:
            spoken = await _spoken(voice, text, lang)
            received, first_frame = Recognized(), time.monotonic()
            stream = StreamingRecognizer(
                MicStart(session_id="trial", format="pcm_s16le", sample_rate=RATE), in_use, received
            )
            hearing = asyncio.create_task(stream.run())
            await _speak(stream, spoken)
            stream.stop()
            await hearing
            _say(f"\nsaid   {text}")
            for at, partial in received.partials:
                _say(f"  {at - first_frame - BEFORE_S:5.2f} s  … {partial}")
            for at, utterance in received.utterances:
                after = at - first_frame - utterance.end_ms / 1000
                waited.append(after)
                _say(
                    f"heard  {utterance.text or '(no words)'}   [{utterance.lang}; {after * 1000:.0f} ms after the last voice]"
                )
    finally:
        await voice.aclose()
        await recognizer.aclose()
        in_use.close()
    _say(
        f"\nlast voice to utterance: median {np.median(waited) * 1000:.0f} ms, worst {max(waited) * 1000:.0f} ms"
    )
    for name, histogram in (
        ("partial", metrics.ASR_INTERIM_SECONDS),
        ("end-of-turn question", metrics.EOT_INFERENCE_SECONDS),
    ):
        count = sum(bucket.get() for bucket in histogram._buckets)
        if count:
            _say(f"{name}: mean {histogram._sum.get() / count * 1000:.0f} ms of {count:.0f}")


async def _speak(stream: StreamingRecognizer, spoken: Samples) -> None:
    room = (
        np.random.default_rng(1).standard_normal(int((BEFORE_S + AFTER_S) * RATE) + len(spoken))
        * NOISE
    )
    room[int(BEFORE_S * RATE) : int(BEFORE_S * RATE) + len(spoken)] += spoken
    frames = (np.clip(room, -1, 1) * 32_767).astype("<i2")
    began, size = time.monotonic(), RATE * FRAME_MS // 1000
    for number, at in enumerate(range(0, len(frames), size), start=1):
        await asyncio.sleep(max(0.0, began + number * FRAME_MS / 1000 - time.monotonic()))
        stream.feed(frames[at : at + size].tobytes())


async def _spoken(voice: EspeakVoice, text: str, lang: str) -> Samples:
    pcm = b"".join([piece.pcm async for piece in voice.synthesize(text, lang)])
    frame = av.AudioFrame.from_ndarray(
        np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono"
    )
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray().reshape(-1).astype(np.float32) for piece in pieces])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    log_config.configure("asr", "ERROR")
    asyncio.run(main(Path(sys.argv[1])))
