"""Splits a reply into fragments for the voice.

A voice needs whole clauses for a natural melody, but waiting for a whole reply would delay the
first sound. So the first fragment is short: a clause, four words, or eight Chinese characters.
Later ones are sentences, or clauses when a sentence grows long. A split is never inside a word of
up to `LONGEST` characters.

The text arrives in deltas of any size. The fragmenter decides character by character, so the splits
do not depend on the deltas. Which parts of a fragment are spoken is decided in `speakable.py`.
"""

from dataclasses import dataclass
from typing import Final

from dialog_contracts.writing_systems import is_cjk

FIRST_WORDS: Final = 4
FIRST_CJK: Final = 8
CLAUSE_FROM: Final = 48
"""Weight from which a later fragment is split at a clause.

A Chinese character weighs three letters.
"""

SPACE_FROM: Final = 150
"""Weight from which it is split at any space."""

LONGEST: Final = 400
"""Number of characters at which it is split anywhere."""

SENTENCE_PAUSE_MS: Final = 160
CLAUSE_PAUSE_MS: Final = 40

_SENTENCE: Final = frozenset(".!?")
_CLAUSE: Final = frozenset(",;:")
_WIDE_SENTENCE: Final = frozenset("。！？…\n")
_WIDE_CLAUSE: Final = frozenset("，；：、—")
_CLOSING: Final = frozenset("\"')]}”’」』）】》")


@dataclass(frozen=True, slots=True)
class Fragment:
    """Text given to the voice at once.

    `start` and `end` are its place in the reply, in characters.
    """

    text: str
    start: int
    ends_sentence: bool

    @property
    def end(self) -> int:
        """Position after the last character."""
        return self.start + len(self.text)

    @property
    def pause_ms(self) -> int:
        """Pause after the fragment in ms; voices trim it away, but listeners need it."""
        return SENTENCE_PAUSE_MS if self.ends_sentence else CLAUSE_PAUSE_MS


class TextFragmenter:
    """Returns fragments as text is fed. Their texts, in order, are the input.

    With `short_first` the first fragment is short; it is off where the whole file is needed before
    playback.
    """

    def __init__(self, *, short_first: bool = True) -> None:
        self._text: list[str] = []
        self._start = 0
        self._first = short_first
        self._words = 0
        self._cjk = 0
        self._in_word = False
        self._speakable = False

    def feed(self, text: str) -> list[Fragment]:
        """Return the fragments that this text completes."""
        done: list[Fragment] = []
        for char in text:
            if self._cut_before(char):
                done.append(self._take(ends_sentence=False))
            self._add(char)
            kind = self._cut_after(char)
            if kind is not None:
                done.append(self._take(ends_sentence=kind))
        return done

    def flush(self) -> list[Fragment]:
        """Return the rest, at the end of the reply."""
        return [self._take(ends_sentence=True)] if self._text else []

    def _add(self, char: str) -> None:
        self._text.append(char)
        if is_cjk(char):
            self._cjk += 1
            self._in_word = False
        elif char.isalnum():
            if not self._in_word:
                self._words += 1
            self._in_word = True
        elif char.isspace():
            self._in_word = False
        self._speakable = self._speakable or char.isalnum()

    def _cut_before(self, char: str) -> bool:
        """Return whether to split before `char`.

        The look-ahead of one character keeps punctuation with the words before it.
        """
        if (
            not self._speakable
            or char in _CLOSING
            or char.isspace()
            or not (char.isalnum() or is_cjk(char))
        ):
            return False
        last = self._text[-1]
        if not (is_cjk(last) or is_cjk(char)):
            return False
        return (self._first and self._cjk >= FIRST_CJK) or self._weight() >= SPACE_FROM

    def _cut_after(self, char: str) -> bool | None:
        """Return None for no split, otherwise whether the split ends a sentence."""
        if not self._speakable:
            return None
        if len(self._text) >= LONGEST:
            return False
        if char in _WIDE_SENTENCE:
            return True
        long = self._first or self._weight() >= CLAUSE_FROM
        if char in _WIDE_CLAUSE:
            return False if long else None
        if not char.isspace():
            return None
        # A full stop ends a sentence only before a space: 3.14, a.m. and example.org stay whole.
        before = self._before_space()
        if before in _SENTENCE and not self._abbreviated():
            return True
        if before in _CLAUSE and long:
            return False
        if (
            self._first and self._words + self._cjk >= FIRST_WORDS and self._words
        ) or self._weight() >= SPACE_FROM:
            return False
        return None

    def _weight(self) -> int:
        return len(self._text) + 2 * self._cjk

    def _before_space(self) -> str:
        for char in reversed(self._text):
            if not char.isspace() and char not in _CLOSING:
                return char
        return ""

    def _abbreviated(self) -> bool:
        word = "".join(self._text).split()[-1].rstrip("\"')]}”’")
        return word.lower() in _ABBREVIATIONS

    def _take(self, *, ends_sentence: bool) -> Fragment:
        fragment = Fragment("".join(self._text), self._start, ends_sentence)
        self._start = fragment.end
        self._text = []
        self._first = self._first and not self._speakable
        self._words, self._cjk, self._in_word, self._speakable = 0, 0, False, False
        return fragment


_ABBREVIATIONS: Final = frozenset(
    (
        "mr.",
        "mrs.",
        "ms.",
        "dr.",
        "prof.",
        "st.",
        "vs.",
        "etc.",
        "e.g.",
        "i.e.",
        "no.",
        "fig.",
        "approx.",
        "a.m.",
        "p.m.",
    )
)
