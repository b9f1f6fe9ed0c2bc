"""espeak-ng as a voice.

It sounds robotic, but answers within milliseconds, works offline, and has exact mouth shapes and
word times.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from dialog_voice.errors import ProviderError
from dialog_voice.providers.espeak.child import EspeakChild, SpeechRequest
from dialog_voice.text.script_runs import ScriptRun, passages, speakable, split_by_script
from dialog_voice.visemes.timeline import CueTimeline
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio, WordCue

_log = structlog.get_logger("voice")


@dataclass(frozen=True, slots=True)
class EspeakConfig:
    """Voices and limits.

    The default is a young woman's voice, as far as a formant synthesizer can.
    """

    voice_en: str = "en-us+f3"
    """An espeak voice; the part after + is a variant, here a female one."""

    voice_zh: str = "cmn+f3"

    rate_en: int = 165
    """Words per minute; espeak's own 175 sounds hurried."""

    rate_zh: int = 190
    """In espeak's unit, which is words of English: about four and a half syllables per second."""

    pitch: int = 58
    """0 to 99; 50 is the variant's own pitch."""

    lead_ms: float = 15.0
    """Silence in ms that remains before a fragment.

    It is at most 40, since every millisecond delays the first sound.
    """

    tail_ms: float = 140.0
    """Silence in ms that remains after a fragment with final punctuation: a pause."""

    passage_chars: int = 160
    """Longer texts take several requests, so that other sessions are served in between."""

    start_timeout_s: float = 10.0
    """Longest start of the child process in seconds, its imports included."""

    stall_timeout_s: float = 5.0
    """Longest time in seconds without a message while a request waits.

    Then the child is replaced.
    """


class EspeakVoice:
    """A `Voice` over one child process for all sessions; `process.py` says why it is a process."""

    def __init__(self, config: EspeakConfig | None = None, *, name: str = "espeak") -> None:
        self.name = name
        self._config = config or EspeakConfig()
        self.child = EspeakChild(
            name,
            start_timeout_s=self._config.start_timeout_s,
            stall_timeout_s=self._config.stall_timeout_s,
        )
        """The process, for health checks and tests."""

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield `text` in pieces, Chinese and English runs each in their own voice.

        The first piece is short, later ones have about 240 ms. A crash before the first piece of a
        passage is retried once. Raises `ProviderError`: crashed, stalled, busy, not_started, and
        bad_request for a voice that does not exist.
        """
        track = CueTimeline(text)
        base_ms = 0.0
        for passage in passages(speakable(text), self._config.passage_chars):
            if not any(character.isalnum() for character in passage.text):
                continue
            passage_ms = 0.0
            async with aclosing(self._speak(self._runs(passage, lang), track, base_ms)) as pieces:
                async for piece in pieces:
                    passage_ms += len(piece.pcm) / BYTES_PER_MS
                    yield piece
            base_ms += passage_ms
        if track.unknown:
            _log.info("unknown_phonemes", symbols=dict(track.unknown))

    async def warm(self) -> None:
        """Start the child and load both voices."""
        async with aclosing(self.synthesize("好。 OK.", "zh")) as pieces:
            async for _ in pieces:
                continue

    async def aclose(self) -> None:
        """End the child."""
        await self.child.aclose()

    def _runs(self, passage: ScriptRun, lang: str) -> list[SpeechRequest]:
        config = self._config
        return [
            SpeechRequest(
                voice=config.voice_zh if run.lang == "zh" else config.voice_en,
                rate=config.rate_zh if run.lang == "zh" else config.rate_en,
                pitch=config.pitch,
                text=run.text,
                start=passage.start + run.start,
            )
            for run in split_by_script(passage.text, lang)
        ]

    async def _speak(
        self, runs: list[SpeechRequest], track: CueTimeline, base_ms: float
    ) -> AsyncGenerator[VoiceAudio, None]:
        retried = False
        end_ms = base_ms
        while True:
            frames = self.child.speak(
                runs, lead_ms=self._config.lead_ms, tail_ms=self._config.tail_ms
            )
            try:
                async with aclosing(frames):
                    async for frame in frames:
                        end_ms += len(frame.pcm) / BYTES_PER_MS
                        track.add_phonemes((base_ms + at, ipa) for at, ipa in frame.phonemes)
                        words: tuple[WordCue, ...] = track.words(
                            (base_ms + at, start, length) for at, start, length in frame.words
                        )
                        visemes: tuple[VisemeCue, ...] = track.take_visemes(end_ms)
                        yield VoiceAudio(frame.pcm, visemes, words)
                return
            except ProviderError as error:
                if error.reason != "crashed" or retried or end_ms > base_ms:
                    raise
                retried = True
