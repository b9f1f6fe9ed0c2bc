"""A reference timeline: how a text is probably spoken.

It holds the words and mouth shapes of a text on a clock that runs only while there is sound. It
says when one word begins relative to another, not how fast a voice is: that is measured on the
voice (`speaking_rate`).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dialog_contracts.writing_systems import is_cjk
from dialog_voice.alignment.voiced_time import VoicedTime
from dialog_voice.visemes.estimator import shapes_of_word, words_of
from dialog_voice.visemes.phoneme_table import SILENCE, Weights
from dialog_voice.voice import VoiceAudio

if TYPE_CHECKING:
    from dialog_voice.alignment.mel_bands import Bands

# With these a timeline from letters is about as long as one from espeak; measured on eighteen
# sentences.
_CJK_MS: Final = 225.0
_LETTER_MS: Final = 70.0


@dataclass(frozen=True, slots=True)
class Word:
    """The characters `start` to `end` (exclusive) are spoken from `at_ms` of the sound on."""

    at_ms: float
    start: int
    end: int


@dataclass(frozen=True)
class ReferenceTimeline:
    """Words and mouth shapes of one fragment, in the order of its text."""

    words: Sequence[Word]
    shapes: Sequence[tuple[float, Weights]]
    length_ms: float
    bands: "Bands | None" = None
    """Its mel bands, one row per 40 ms; None where the timeline was not synthesized."""

    def shape(self, at_ms: float) -> Weights:
        """Return the mouth shape at this time, for a fully open mouth."""
        return self.shapes[max(bisect_right(self._shape_times, at_ms) - 1, 0)][1]

    @cached_property
    def _shape_times(self) -> list[float]:
        return [at_ms for at_ms, _ in self.shapes]


def from_letters(text: str) -> ReferenceTimeline:
    """Return a timeline with the same duration for each letter, or for each Chinese character."""
    words: list[Word] = []
    at_ms = 0.0
    for start, end in words_of(text):
        words.append(Word(at_ms, start, end))
        at_ms += _letters_ms(text, start, end)
    ends = [*(word.at_ms for word in words), at_ms][1:]
    shapes: list[tuple[float, Weights]] = [
        (word.at_ms + (end_ms - word.at_ms) * number / len(names), {name: 1.0})
        for word, end_ms in zip(words, ends, strict=True)
        for names in [shapes_of_word(text[word.start : word.end])]
        for number, name in enumerate(names)
    ]
    return ReferenceTimeline(words, shapes or [(0.0, SILENCE)], at_ms)


def from_synthesis(
    text: str, spoken: Sequence[VoiceAudio], length_ms: float
) -> tuple[ReferenceTimeline, VoicedTime] | None:
    """Return the timeline of a synthesis with word times and mouth shapes, and its clock.

    Returns None where the synthesis contains no words or shapes of `text`.
    """
    cues = [cue for piece in spoken for cue in piece.visemes]
    if not cues:
        return None
    ends = [cue.offset_ms for cue in cues[1:]] + [length_ms]
    pauses = [
        (cue.offset_ms, end) for cue, end in zip(cues, ends, strict=True) if cue.weights == SILENCE
    ]
    clock = VoicedTime(pauses)
    timed = [
        (cue.text_start, clock.sound(cue.offset_ms)) for piece in spoken for cue in piece.words
    ]
    shapes = [(clock.sound(cue.offset_ms), cue.weights) for cue in cues if cue.weights != SILENCE]
    sound_ms = clock.sound(length_ms)
    if not timed or not shapes or not words_of(text) or sound_ms <= 0:
        return None
    return ReferenceTimeline(_placed(text, timed, sound_ms), shapes, sound_ms), clock


def _placed(text: str, timed: Sequence[tuple[int, float]], length_ms: float) -> list[Word]:
    """Return all words of `text` with their times.

    `timed` holds known times (place, ms). Words without one share the time between two known words,
    in proportion to their letters.
    """
    spans = words_of(text)
    times: list[float | None] = [
        next((ms for place, ms in timed if start <= place < end), None) for start, end in spans
    ]
    times[0] = times[0] or 0.0
    known = [number for number, time in enumerate(times) if time is not None]
    words: list[Word] = []
    for first, behind in zip(known, [*known[1:], len(spans)], strict=True):
        at_ms = times[first] or 0.0
        until_ms = length_ms if behind == len(spans) else times[behind] or 0.0
        weights = [_letters_ms(text, *span) for span in spans[first:behind]]
        pace = (until_ms - at_ms) / sum(weights)
        for (start, end), weight in zip(spans[first:behind], weights, strict=True):
            words.append(Word(at_ms, start, end))
            at_ms += weight * pace
    return words


def _letters_ms(text: str, start: int, end: int) -> float:
    return _CJK_MS if is_cjk(text[start]) else _LETTER_MS * (end - start)
