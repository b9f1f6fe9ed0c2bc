"""A whole reply in one voice: its sound, and the mouth's shapes over it."""

import io
import wave
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from dialog_contracts import limits
from dialog_contracts.legacy_chain import MouthCue
from dialog_voice.errors import VoiceError
from dialog_voice.script_split import passages
from dialog_voice.voice import BYTES_PER_MS, Voice

SOUND_MS_MAX: Final = 5 * 60 * 1000
"""Longer replies end there."""

PASSAGE_CHARS: Final = 160


@dataclass(slots=True)
class Speech:
    """What was spoken so far. `failure` is why it ends before the text does, `cut` that it was too long."""

    pcm: bytearray = field(default_factory=bytearray)
    mouth: list[MouthCue] = field(default_factory=list)
    failure: VoiceError | None = None
    cut: bool = False

    @property
    def audio_ms(self) -> int:
        """Its length."""
        return len(self.pcm) // BYTES_PER_MS

    def wav(self) -> bytes:
        """As a file: s16le, 24 kHz, mono."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(limits.SAMPLE_RATE)
            file.writeframes(bytes(self.pcm))
        return out.getvalue()


async def speak(voice: Voice, text: str, lang: str) -> Speech:
    """Speak the text passage by passage; what a failing voice has said before stays."""
    speech = Speech()
    for passage in passages(text, PASSAGE_CHARS):
        at_ms = speech.audio_ms
        try:
            async with aclosing(voice.synthesize(passage.text, lang)) as pieces:
                async for piece in pieces:
                    speech.pcm += piece.pcm
                    speech.mouth += [
                        MouthCue(offset_ms=at_ms + round(cue.offset_ms), weights=dict(cue.weights)) for cue in piece.visemes
                    ]
                    if speech.audio_ms > SOUND_MS_MAX:
                        speech.cut = True
                        return speech
        except VoiceError as error:
            speech.failure = error
            return speech
    return speech
