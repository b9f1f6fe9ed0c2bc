"""How much a text has to do with a question: shared words, and shared pairs of hanzi. Pure."""

import re
from typing import Final

from dialog_contracts.scripts import CJK

_WORD: Final = re.compile(rf"[^\W_{CJK}]+")
_CJK: Final = re.compile(f"[{CJK}]+")


def features(text: str) -> frozenset[str]:
    """Lower-case words, and pairs of neighbouring hanzi (a lone one by itself)."""
    lower = text.lower()
    pairs = {run[at : at + 2] for run in _CJK.findall(lower) for at in range(max(1, len(run) - 1))}
    return frozenset({*_WORD.findall(lower), *pairs})


def score(question: frozenset[str], text: str) -> float:
    """Share of the question's features that the text has, from 0 to 1. A lone hanzi is found inside words, too."""
    if not question:
        return 0.0
    known = features(text)
    return sum(
        1
        for one in question
        if one in known or (_CJK.fullmatch(one) and len(one) == 1 and one in text)
    ) / len(question)
