"""Similarity of a text and a question: the share of common words or character pairs.

Chinese has no spaces between words, so pairs of adjacent characters replace words.
"""

import re
from typing import Final

from dialog_contracts.writing_systems import CJK

_WORD: Final = re.compile(rf"[^\W_{CJK}]+")
_CJK: Final = re.compile(f"[{CJK}]+")


def features(text: str) -> frozenset[str]:
    """Return lower-case words, and pairs of adjacent Chinese characters.

    A Chinese character without a neighbour counts by itself.
    """
    lower = text.lower()
    pairs = {run[at : at + 2] for run in _CJK.findall(lower) for at in range(max(1, len(run) - 1))}
    return frozenset({*_WORD.findall(lower), *pairs})


def score(question: frozenset[str], text: str) -> float:
    """Return the share of the question's features that the text contains, from 0 to 1.

    A single Chinese character also counts within a longer sequence.
    """
    if not question:
        return 0.0
    known = features(text)
    return sum(
        1
        for one in question
        if one in known or (_CJK.fullmatch(one) and len(one) == 1 and one in text)
    ) / len(question)
