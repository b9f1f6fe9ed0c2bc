"""Splits text for a synthesizer with one language per voice.

Speakable text is split into passages, and those into runs of one language. Every function keeps
character positions: a position in a part plus the part's start is a position in the text.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from dialog_contracts.writing_systems import is_han

_MARKUP: Final = frozenset("*_`#~^|<>{}[]\\@=+~～")
_SPOKEN_SYMBOLS: Final = frozenset("%$€£¥&°+=@")
_SENTENCE_END: Final = re.compile(r"[.!?。！？…;；\n]+[\"'”’）)]*\s*|[,，、：:]\s*|\s+")
_FULL_STOP: Final = re.compile(r"[.!?。！？…;；\n]")


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A run of `text` in one language.

    `start` is its first character's position in the whole text.
    """

    lang: str
    text: str
    start: int


def speakable(text: str) -> str:
    """Return `text` with a space for each character that is not spoken; its length stays the same.

    Not spoken are emoji (a synthesizer would read out their names), control characters, and the
    marks of Markdown. Symbols with a spoken name, such as %, stay.
    """
    return "".join(character if _is_spoken(character) else " " for character in text)


def passages(text: str, limit: int = 160) -> list[ScriptRun]:
    """Split `text` into pieces of at most `limit` characters.

    A split is after a sentence, else after a clause or a space, else anywhere. The language of the
    results is empty. A short text is returned whole, since its melody is better in one piece.
    """
    pieces: list[ScriptRun] = []
    start = 0
    while len(text) - start > limit:
        window = text[start : start + limit]
        breaks = list(_SENTENCE_END.finditer(window))
        stops = [found.end() for found in breaks if _FULL_STOP.search(found.group())]
        length = (stops or [found.end() for found in breaks] or [limit])[-1]
        pieces.append(ScriptRun("", text[start : start + length], start))
        start += length
    if start < len(text):
        pieces.append(ScriptRun("", text[start:], start))
    return pieces


def split_by_script(text: str, lang: str) -> list[ScriptRun]:
    """Split `text` into runs of "zh" and "en" that together are the text.

    Digits, spaces and punctuation belong to the run before them, at the beginning to the one after.
    Text of nothing else gets `lang` (any BCP 47 tag; all but Chinese count as "en").
    """
    parts: list[ScriptRun] = []
    run_start = 0
    run_lang: str | None = None
    for position, character in enumerate(text):
        found = _script(character)
        if found is None or found == run_lang:
            continue
        if run_lang is not None:
            parts.append(ScriptRun(run_lang, text[run_start:position], run_start))
            run_start = position
        run_lang = found
    if text:
        default = "zh" if lang.lower().split("-")[0] == "zh" else "en"
        parts.append(ScriptRun(run_lang or default, text[run_start:], run_start))
    return parts


def _script(character: str) -> str | None:
    if is_han(character):
        return "zh"
    return "en" if character.isalpha() else None


def _is_spoken(character: str) -> bool:
    if character in _SPOKEN_SYMBOLS:
        return True
    if character in _MARKUP:
        return False
    category = unicodedata.category(character)
    # So: emoji and dingbats; Sk: skin tones; Cf: joiners; Cc, Cs, Co, Cn: without a sound; Me, and
    # variation selectors.
    return (
        category[0] != "C"
        and category not in ("So", "Sk", "Me")
        and not "\ufe00" <= character <= "\ufe0f"
    )
