"""Mouth shapes and word times for voices that tell neither phonemes nor, some of them, words.

This is an estimate and nothing more. How far the mouth opens is measured: it follows the loudness of the audio in steps of 40 ms.
Which shape it has is guessed: from the letters of the word that is probably being said, taken in order over the word's time;
for hanzi not even that is known, so each gets one of five vowels by its code point. Word times come from the vendor where it
gives them; else a clock that runs only while there is sound walks through the text at a usual speed. Lips thus move with the
voice and stop with it, but nobody could read them.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

from dialog_voice.phonemes import SILENCE
from dialog_voice.script_split import speakable
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, WordCue

_STEP_MS: Final = 40
_HANZI_MS: Final = 200.0
_LETTER_MS: Final = 62.0
_QUIET: Final = 260.0
"""RMS below which nobody is speaking, of 32 768."""

_PEAK_DECAY: Final = 0.985
"""Per step: loudness is judged against the loudest step of about the last two seconds."""

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
_HANZI_SHAPES: Final = ("aa", "oh", "ih", "E", "ou")


def shapes_of_word(word: str) -> list[str]:
    """Return Oculus-15 names for the letters of `word` in order; one for each hanzi; ["aa"] for digits and the like."""
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
        elif _is_hanzi(letter):
            shapes.append(_HANZI_SHAPES[ord(letter) % len(_HANZI_SHAPES)])
        position += 1
    return [shape for at, shape in enumerate(shapes) if at == 0 or shape != shapes[at - 1]] or ["aa"]


def words_of(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each spoken word of `text`; every hanzi is one."""
    spoken = speakable(text)
    words: list[tuple[int, int]] = []
    for at, character in enumerate(spoken):
        if not character.isalnum() and not (character == "'" and words and words[-1][1] == at):
            continue
        joins = bool(words) and words[-1][1] == at and not _is_hanzi(character) and not _is_hanzi(spoken[at - 1])
        if joins:
            words[-1] = (words[-1][0], at + 1)
        else:
            words.append((at, at + 1))
    return words


class MouthEstimator:
    """The cues of one fragment of `text`, made from its audio as it streams.

    With `timed`, words come from `add_word`; without, they are estimated too and `push` returns them.
    """

    def __init__(self, text: str, *, timed: bool) -> None:
        self._text = text
        self._timed = timed
        self._coming: deque[tuple[float, float, WordCue]] = deque()
        self._shapes: list[str] = ["aa"]
        self._word_from = 0.0
        self._word_ms = 1.0
        self._voiced_ms = 0.0
        self._bytes = 0
        self._now_ms = 0.0
        self._peak = 2000.0
        self._shown: Mapping[str, float] | None = None
        if not timed:
            self._plan()

    def add_word(self, cue: WordCue, duration_ms: float) -> None:
        """Tell a word's time in the fragment's audio."""
        self._coming.append((cue.offset_ms, duration_ms, cue))

    def push(self, pcm: bytes) -> tuple[tuple[VisemeCue, ...], tuple[WordCue, ...]]:
        """Return the cues within the next piece of audio; estimated words only, as the others are known already."""
        visemes: list[VisemeCue] = []
        words: list[WordCue] = []
        for start in range(0, len(pcm), _STEP_MS * BYTES_PER_MS):
            step = pcm[start : start + _STEP_MS * BYTES_PER_MS]
            loudness = _rms(step)
            if loudness >= _QUIET:
                self._voiced_ms += len(step) / BYTES_PER_MS
            clock_ms = self._now_ms if self._timed else self._voiced_ms
            while self._coming and self._coming[0][0] <= clock_ms:
                self._word_from, self._word_ms, cue = self._coming.popleft()
                self._shapes = shapes_of_word(self._text[cue.text_start : cue.text_end])
                if not self._timed:
                    words.append(WordCue(self._now_ms, cue.text_start, cue.text_end))
            weights = self._weights(loudness, clock_ms)
            if weights != self._shown:
                self._shown = weights
                visemes.append(VisemeCue(self._now_ms, weights))
            # Counted in bytes: a sum of milliseconds would drift from the consumer's own count.
            self._bytes += len(step)
            self._now_ms = self._bytes / BYTES_PER_MS
        return tuple(visemes), tuple(words)

    def _plan(self) -> None:
        """Lay the words out on the clock of voiced time, at a usual speed. A little fast: words never told are worse."""
        at_ms = 1.0
        for start, end in words_of(self._text):
            duration_ms = _HANZI_MS if _is_hanzi(self._text[start]) else _LETTER_MS * (end - start)
            self._coming.append((at_ms, duration_ms, WordCue(at_ms, start, end)))
            at_ms += duration_ms

    def _weights(self, loudness: float, clock_ms: float) -> Mapping[str, float]:
        self._peak = max(loudness, self._peak * _PEAK_DECAY)
        if loudness < _QUIET:
            return SILENCE
        progress = (clock_ms - self._word_from) / max(self._word_ms, 1.0)
        shape = self._shapes[min(int(progress * len(self._shapes)), len(self._shapes) - 1)]
        return {shape: round(0.25 + 0.75 * min(1.0, loudness / self._peak), 2)}


def _rms(pcm: bytes) -> float:
    """Loudness of `pcm`; every fourth sample is enough for a mouth, and cheap without numpy."""
    samples = memoryview(pcm[: len(pcm) & ~1]).cast("h")[::4].tolist()
    return float((sum(sample * sample for sample in samples) / len(samples)) ** 0.5) if samples else 0.0


def _is_hanzi(character: str) -> bool:
    return "㐀" <= character <= "鿿" or "豈" <= character <= "﫿"
