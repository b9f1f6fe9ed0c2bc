"""Which script a character belongs to, decided in one place.

Text is cut, timed, counted and answered by script in several services; a character must not be
Chinese in one of them and a letter in another. `HAN` and `CJK` are the insides of character classes
of regular expressions.
"""

import re
from typing import Final

HAN: Final = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese ideographs, with extension A, the compatibility block and the planes above."""

CJK: Final = HAN + "\u3040-\u30ff\uac00-\ud7af"
"""Han, kana and hangul: scripts that are read character by character."""

_HAN_CHARACTER: Final = re.compile(f"[{HAN}]")
_CJK_CHARACTER: Final = re.compile(f"[{CJK}]")


def is_han(character: str) -> bool:
    """Return whether a character is a Chinese ideograph."""
    return _HAN_CHARACTER.match(character) is not None


def is_cjk(character: str) -> bool:
    """Return whether a character is a Chinese ideograph, kana or hangul."""
    return _CJK_CHARACTER.match(character) is not None


def has_cjk(text: str) -> bool:
    """Return whether a text contains one of these characters."""
    return _CJK_CHARACTER.search(text) is not None
