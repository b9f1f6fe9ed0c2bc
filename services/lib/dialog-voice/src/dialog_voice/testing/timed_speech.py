"""Speech at any speed whose word times are known.

espeak replaces a vendor, with another voice than that of the reference synthesis.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dialog_voice.providers.espeak.child import EspeakChild, SpeechRequest
from dialog_voice.visemes.estimator import words_of
from dialog_voice.visemes.timeline import CueTimeline
from dialog_voice.voice import BYTES_PER_MS, WordCue


@dataclass(frozen=True, slots=True)
class TimedSpeech:
    """A text with its recording."""

    text: str
    pcm: bytes
    words: Sequence[WordCue]

    @property
    def duration_ms(self) -> float:
        """Length in ms, including silence at both ends."""
        return len(self.pcm) / BYTES_PER_MS

    def errors(self, reported: Sequence[WordCue], every_ms: int = 40) -> list[int]:
        """Return how many words too many (or too few) count as spoken at each of these times."""
        starts = [start for start, _ in words_of(self.text)]
        times = [at * every_ms for at in range(int(self.duration_ms / every_ms))]
        return [
            _said(starts, reported, at_ms) - _said(starts, self.words, at_ms) for at_ms in times
        ]


def _said(starts: Sequence[int], cues: Sequence[WordCue], at_ms: float) -> int:
    return bisect_left(
        starts, max((cue.text_end for cue in cues if cue.offset_ms <= at_ms), default=0)
    )


class TimedSpeechSource:
    """Records speech in an `async with` block; owns one process."""

    def __init__(self) -> None:
        self._child = EspeakChild("studio", start_timeout_s=30, stall_timeout_s=10)

    async def __aenter__(self) -> Self:
        await self._child.started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._child.aclose()

    async def record(
        self,
        text: str,
        voice: str,
        words_a_minute: int,
        *,
        lead_ms: float = 120,
        tail_ms: float = 300,
    ) -> TimedSpeech:
        """Return `text` spoken by an espeak voice.

        Chinese is about a quarter faster than `words_a_minute`, counted in characters.
        """
        track, pcm, words = CueTimeline(text), b"", list[WordCue]()
        speech = SpeechRequest(voice, words_a_minute, 50, text, 0)
        async for frame in self._child.speak([speech], lead_ms=lead_ms, tail_ms=tail_ms):
            pcm += frame.pcm
            words += track.words(frame.words)
        return TimedSpeech(text, pcm, words)
