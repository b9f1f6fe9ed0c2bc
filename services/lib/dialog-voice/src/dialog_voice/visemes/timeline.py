"""Turns timed phonemes and words into the cues of a fragment.

Cues are in order and are released together with their audio.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from dialog_voice.visemes.phoneme_table import SILENCE, Weights, shapes_of
from dialog_voice.voice import VisemeCue, WordCue

_FLICKER_MS: Final = 30.0
"""Shortest closure of the mouth in ms: espeak has a pause of about 11 ms between syllables.

A mouth that closes for less than this would tremble.
"""

_GLIDE_MS: Final = 65.0
"""Time in ms from a diphthong's first shape to its second.

Its real length is known only when the next sound begins, which is too late.
"""

_REST_OF_WORD: Final = re.compile(r"(?:[A-Za-z0-9]|'(?=[A-Za-z])|(?<=\d)[.,:](?=\d))*")


class CueTimeline:
    """The cues of one fragment of `text`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pending: deque[VisemeCue] = deque()
        self._shown: Weights | None = None
        self._word_end = 0
        self.unknown: Counter[str] = Counter()
        """Symbols without an entry in the tables, with their number of occurrences."""

    def add_phonemes(self, phonemes: Iterable[tuple[float, str]]) -> None:
        """Add phonemes (ms, IPA) in the order of their offsets."""
        for offset_ms, ipa in phonemes:
            shapes, unknown = shapes_of(ipa)
            self.unknown.update(unknown)
            # The previous sound was shorter than its glide.
            while shapes and self._pending and self._pending[-1].offset_ms >= offset_ms:
                self._pending.pop()
            if (
                self._pending
                and self._pending[-1].weights == SILENCE
                and offset_ms - self._pending[-1].offset_ms < _FLICKER_MS
            ):
                self._pending.pop()
            for step, weights in enumerate(shapes):
                self._pending.append(VisemeCue(offset_ms + step * _GLIDE_MS, weights))

    def take_visemes(self, until_ms: float) -> tuple[VisemeCue, ...]:
        """Return new cues before `until_ms` that change the mouth."""
        taken = []
        while self._pending and self._pending[0].offset_ms < until_ms:
            cue = self._pending.popleft()
            if cue.weights != self._shown:
                self._shown = cue.weights
                taken.append(cue)
        return tuple(taken)

    def words(self, events: Iterable[tuple[float, int, int]]) -> tuple[WordCue, ...]:
        """Return cues for words (ms, start, length), none of which overlaps the one before.

        espeak reports a number once for each word of its reading, at positions that overlap; the
        repetitions are dropped. A word that it reports as "it" of "it's" is completed, since half a
        word cannot have been played.
        """
        cues = []
        for offset_ms, start, length in events:
            if not self._word_end <= start < len(self._text):
                continue
            self._word_end = self._whole_word(start, min(start + max(length, 1), len(self._text)))
            cues.append(WordCue(offset_ms, start, self._word_end))
        return tuple(cues)

    def _whole_word(self, start: int, end: int) -> int:
        if not self._text[start].isascii():
            return end
        found = _REST_OF_WORD.match(self._text, end)
        return found.end() if found else end
