"""Speech backends for tests.

Voice activity is the level of the samples; the end-of-turn model and the recognizer follow a
script.
"""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from asr.decoder import RATE, Samples
from asr.recognizer import NullRecognizer, Transcript
from asr.streaming.backends import SpeechBackends
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.onnx import ModelFailed

FRAME_MS = 20


def sound(ms: int, level: float) -> bytes:
    """Return s16le samples of 16 kHz at this level: a voice is 0.5, silence is 0."""
    return np.full(ms * RATE // 1000, level * 32767, "<i2").tobytes()


class LevelVad:
    """Voice activity that is twice the level of a frame."""

    def speech_probability(self, frame: Samples) -> float:
        """Return twice the mean level of the frame, at most 1."""
        return min(1.0, float(np.abs(frame).mean()) * 2)


@dataclass
class ScriptedEndOfTurn:
    """Returns `answers` in order; the last one repeats. None makes it fail."""

    answers: list[bool | None] = field(default_factory=lambda: [True])
    takes_s: float = 0.05
    lengths_s: list[float] = field(default_factory=list)

    async def is_complete(self, samples: Samples) -> bool:
        """Return the next answer of the script."""
        self.lengths_s.append(len(samples) / RATE)
        await asyncio.sleep(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise ModelFailed("no answer")
        return answer


class ScriptedRecognizer(NullRecognizer):
    """Recognizes one word for each started half second of voice."""

    name = "scripted"

    def __init__(self) -> None:
        self.takes_s = 0.2
        self.at_once = self.most_at_once = self.interims = 0
        self.finals: list[float] = []
        self.languages: list[str | None] = []
        self.broken = self.busy = False

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        """Return words by the length of the voice."""
        self.finals.append(len(samples) / RATE)
        return await self._transcribe(samples, lang)

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """Return the same, or None while `busy` is set."""
        self.interims += 1
        return None if self.busy else await self._transcribe(samples, lang)

    async def _transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        self.languages.append(lang)
        if self.broken:
            raise RuntimeError("out of memory")
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(self.takes_s)
        self.at_once -= 1
        voiced_s = float((np.abs(samples) > 0.1).sum()) / RATE
        return Transcript(" ".join(["word"] * int(np.ceil(voiced_s * 2))), lang or "en")


def backends(
    recognizer: NullRecognizer,
    end_of_turn: ScriptedEndOfTurn | None,
    rhythm: EndpointingConfig | None = None,
) -> SpeechBackends:
    """Return SpeechBackends with these parts."""
    return SpeechBackends(
        recognizer,
        LevelVad,
        end_of_turn,
        rhythm or EndpointingConfig(),
        {"voice": "level", "turn_end": "script", "words": "script"},
    )
