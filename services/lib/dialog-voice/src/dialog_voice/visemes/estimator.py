"""Estimates mouth shapes for voices that report word times but no phonemes.

The opening of the mouth is measured: it follows the loudness of the audio in steps of 40 ms. The
shape is guessed from the letters of the word that is being spoken, in order over the word's time.
For Chinese characters not even that is known, so each gets one of five vowels by its code point.
Lips thus move with the voice and stop with it, but cannot be lip-read.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

from dialog_contracts.writing_systems import is_cjk
from dialog_voice.audio.loudness import STEP_BYTES, MouthOpening, rms
from dialog_voice.text.script_runs import speakable
from dialog_voice.visemes.phoneme_table import SILENCE
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, WordCue

_LETTERS: Final[dict[str, str]] = {
    **dict.fromkeys("aàáâäæ", "aa"),
    **dict.fromkeys("eèéêë", "E"),
    **dict.fromkeys("iyìíîï", "ih"),
    **dict.fromkeys("oòóôö", "oh"),
    **dict.fromkeys("uwùúûü", "ou"),
    **dict.fromkeys("bpm", "PP"),
    **dict.fromkeys("fv", "FF"),
    **dict.fromkeys("td", "DD"),
    **dict.fromkeys("kgcqxh", "kk"),
    **dict.fromkeys("sz", "SS"),
    **dict.fromkeys("nl", "nn"),
    "j": "CH",
    "r": "RR",
}
_PAIRS: Final = {"th": "TH", "sh": "CH", "ch": "CH", "ph": "FF", "oo": "ou", "ee": "ih"}
_CJK_SHAPES: Final = ("aa", "oh", "ih", "E", "ou")


def shapes_of_word(word: str) -> list[str]:
    """Return Oculus-15 names for the letters of `word` in order.

    There is one for each Chinese character, and ["aa"] for digits and the like.
    """
    shapes: list[str] = []
    lower = word.lower()
    position = 0
    while position < len(lower):
        letter = lower[position]
        if (pair := _PAIRS.get(lower[position : position + 2])) is not None:
            shapes.append(pair)
            position += 1
        elif letter in _LETTERS:
            shapes.append(_LETTERS[letter])
        elif is_cjk(letter):
            shapes.append(_CJK_SHAPES[ord(letter) % len(_CJK_SHAPES)])
        position += 1
    return [shape for at, shape in enumerate(shapes) if at == 0 or shape != shapes[at - 1]] or [
        "aa"
    ]


def words_of(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each spoken word of `text`; every Chinese character is one."""
    spoken = speakable(text)
    words: list[tuple[int, int]] = []
    for at, character in enumerate(spoken):
        if not character.isalnum() and not (character == "'" and words and words[-1][1] == at):
            continue
        joins = (
            bool(words)
            and words[-1][1] == at
            and not is_cjk(character)
            and not is_cjk(spoken[at - 1])
        )
        if joins:
            words[-1] = (words[-1][0], at + 1)
        else:
            words.append((at, at + 1))
    return words


class VisemeEstimator:
    """Mouth shapes of one fragment of `text`, from its audio as it streams and its word times."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._coming: deque[tuple[WordCue, float]] = deque()
        self._shapes: list[str] = ["aa"]
        self._word_from = 0.0
        self._word_ms = 1.0
        self._bytes = 0
        self._opening = MouthOpening()
        self._shown: Mapping[str, float] | None = None

    def add_word(self, cue: WordCue, duration_ms: float) -> None:
        """Add a word's time in the fragment's audio."""
        self._coming.append((cue, duration_ms))

    def push(self, pcm: bytes) -> tuple[VisemeCue, ...]:
        """Return the cues within the next piece of audio."""
        visemes: list[VisemeCue] = []
        for start in range(0, len(pcm), STEP_BYTES):
            step = pcm[start : start + STEP_BYTES]
            now_ms = self._bytes / BYTES_PER_MS
            while self._coming and self._coming[0][0].offset_ms <= now_ms:
                cue, self._word_ms = self._coming.popleft()
                self._word_from = cue.offset_ms
                self._shapes = shapes_of_word(self._text[cue.text_start : cue.text_end])
            weights = self._weights(rms(step), now_ms)
            if weights != self._shown:
                self._shown = weights
                visemes.append(VisemeCue(now_ms, weights))
            # Counted in bytes: a sum of ms would drift from the consumer's own count.
            self._bytes += len(step)
        return tuple(visemes)

    def _weights(self, loudness: float, now_ms: float) -> Mapping[str, float]:
        opening = self._opening.next_step(loudness)
        if not opening:
            return SILENCE
        progress = (now_ms - self._word_from) / max(self._word_ms, 1.0)
        shape = self._shapes[min(int(progress * len(self._shapes)), len(self._shapes) - 1)]
        return {shape: round(opening, 2)}
