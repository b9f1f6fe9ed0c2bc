"""Synthesizes a whole reply: its audio, and the mouth shapes.

The reply is split into fragments, mostly sentences, which are synthesized one after the other and
joined with pauses. Nothing is played before the file is complete, so a fragment that fails can be
tried again, which the main path cannot do. What fails twice is left out, and the result names the
problem.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import structlog

from dialog_contracts import wav
from dialog_contracts.legacy_chain import MouthCue
from dialog_telemetry import metrics
from dialog_voice.errors import VoiceError
from dialog_voice.text.fragmenter import Fragment, TextFragmenter
from dialog_voice.text.speakable import SpeakableTextFilter
from dialog_voice.voice import BYTES_PER_MS, Voice

MAX_AUDIO_MS: Final = 5 * 60 * 1000
"""Length in ms at which the audio of a longer reply ends."""

Problem = Literal["voice_failed", "voice_cut", "voice_timeout", "voice_too_long"]

log = structlog.get_logger("speech")

_SILENT: Final = {"sil": 1.0}


@dataclass(slots=True)
class SynthesizedReply:
    """Audio and mouth shapes of whole fragments, s16le mono at 24 kHz.

    `problem` says what is missing, `detail` why. Without audio and problem, the text had nothing to
    pronounce.
    """

    pcm: bytearray = field(default_factory=bytearray)
    mouth: list[MouthCue] = field(default_factory=list)
    problem: Problem | None = None
    detail: str = ""

    @property
    def audio_ms(self) -> int:
        """Length of the audio in ms."""
        return len(self.pcm) // BYTES_PER_MS

    def wav(self) -> bytes:
        """Return a WAV file."""
        return wav.wav_file(self.pcm)

    def mark_incomplete(self, problem: Problem, detail: str) -> None:
        """Note that some text is missing; the first reason is kept."""
        if self.problem is None:
            self.problem, self.detail = problem, detail


async def synthesize(voice: Voice, text: str, lang: str, within_s: float) -> SynthesizedReply:
    """Synthesize the text, for at most `within_s` seconds and five minutes of audio."""
    speech, pause_ms = SynthesizedReply(), 0
    try:
        async with asyncio.timeout(within_s):
            for fragment in _fragments(text):
                said = await _synthesize_fragment(voice, fragment, lang, speech)
                if said is None:
                    continue
                if speech.audio_ms + pause_ms + said.audio_ms > MAX_AUDIO_MS:
                    speech.mark_incomplete(
                        "voice_too_long", f"more than {MAX_AUDIO_MS // 60_000} minutes of audio"
                    )
                    break
                _append(speech, said, pause_ms)
                pause_ms = fragment.pause_ms
    except TimeoutError:
        speech.mark_incomplete("voice_timeout", f"synthesis took longer than {within_s:.0f} s")
    if not speech.pcm and speech.problem == "voice_cut":
        speech.problem = "voice_failed"
    return speech


def _fragments(text: str) -> Iterator[Fragment]:
    # A file needs no short first fragment, and whole sentences have a better melody.
    cutter = TextFragmenter(short_first=False)
    speakable = SpeakableTextFilter()
    for fragment in (*cutter.feed(text), *cutter.flush()):
        spoken = speakable.spoken(fragment.text)
        if spoken is not None:
            yield replace(fragment, text=spoken)


async def _synthesize_fragment(
    voice: Voice, fragment: Fragment, lang: str, speech: SynthesizedReply
) -> SynthesizedReply | None:
    """Synthesize one fragment, twice if the voice fails; None if it has no audio.

    A fallback of voices uses its next voice for the second attempt.
    """
    for tries_left in (1, 0):
        said = SynthesizedReply()
        try:
            async with aclosing(voice.synthesize(fragment.text, lang)) as pieces:
                async for piece in pieces:
                    said.pcm += piece.pcm
                    cues = ((round(cue.offset_ms), dict(cue.weights)) for cue in piece.visemes)
                    said.mouth += [
                        MouthCue(offset_ms=offset, weights=weights) for offset, weights in cues
                    ]
            return said if said.pcm else None
        except VoiceError as error:
            if tries_left:
                metrics.TTS_FALLBACKS.labels(provider=voice.name, reason="retried").inc()
            log.warning(
                "fragment_not_synthesized",
                reason=error.reason,
                chars=len(fragment.text),
                tries_left=tries_left,
            )
            problem = error
    speech.mark_incomplete("voice_cut", str(problem))
    return None


def _append(speech: SynthesizedReply, said: SynthesizedReply, pause_ms: int) -> None:
    if speech.pcm:
        speech.mouth.append(MouthCue(offset_ms=speech.audio_ms, weights=_SILENT))
        speech.pcm += bytes(pause_ms * BYTES_PER_MS)
    at_ms = speech.audio_ms
    speech.mouth += [
        cue.model_copy(update={"offset_ms": at_ms + cue.offset_ms}) for cue in said.mouth
    ]
    speech.pcm += said.pcm
