"""Classifies short utterances: backchannels, stop commands, noise. Pure."""

import re
from typing import Final

from dialog_contracts.writing_systems import CJK

_CJK: Final = re.compile(f"[{CJK}]")
_WORD: Final = re.compile(f"[a-z']+|[{CJK}]")
_NOT_A_WORD: Final = re.compile(f"[^a-z'{CJK}]+")

# Sounds and words with which a listener shows attention.
_BACKCHANNELS_EN: Final = frozenset(
    (
        *(
            "uh",
            "huh",
            "uhhuh",
            "mhm",
            "mm",
            "mmm",
            "mmhm",
            "hmm",
            "hm",
            "oh",
            "ooh",
            "ah",
            "aha",
            "ha",
            "haha",
            "wow",
        ),
        *(
            "yeah",
            "yep",
            "yes",
            "ok",
            "okay",
            "right",
            "sure",
            "really",
            "cool",
            "nice",
            "great",
            "i",
            "see",
        ),
    )
)
_BACKCHANNELS_ZH: Final = re.compile(
    r"(?:嗯|唔|哦|噢|喔|啊|呃|额|哈|嘿|诶|欸|哎|哇|对|是|好|行|嗨|嘛|的|呀|吧|呢|了|啦|真)+"
)
_MAX_BACKCHANNEL_WORDS: Final = 4

# One of these stops a reply, whatever else is said.
_STOP_COMMANDS_EN: Final = re.compile(
    r"\b(?:stop|wait|hold on|hang on|shut up|be quiet|enough|no no)\b"
)
_STOP_COMMANDS_ZH: Final = re.compile(r"停|等等|等一下|等会|别说|闭嘴|打住|安静|不对|够了")


def is_backchannel(text: str) -> bool:
    """Return whether the utterance only shows attention, like "uh-huh"."""
    words = _words(text)
    if not words or len(words) > 2 * _MAX_BACKCHANNEL_WORDS:
        return False
    cjk = "".join(word for word in words if _CJK.match(word))
    latin = [word for word in words if not _CJK.match(word)]
    return (
        len(latin) <= _MAX_BACKCHANNEL_WORDS
        and set(latin) <= _BACKCHANNELS_EN
        and (not cjk or _BACKCHANNELS_ZH.fullmatch(cjk) is not None)
    )


def is_stop_command(text: str) -> bool:
    """Return whether the utterance contains a command to stop."""
    lowered = _NOT_A_WORD.sub(" ", text.lower())
    return (
        _STOP_COMMANDS_EN.search(lowered) is not None or _STOP_COMMANDS_ZH.search(text) is not None
    )


def has_no_words(text: str) -> bool:
    """Return whether there is no word in it."""
    return not _words(text)


def has_min_words(text: str) -> bool:
    """Return whether there are two words or three CJK characters.

    Noise is not transcribed as that much.
    """
    words = _words(text)
    cjk = sum(1 for word in words if _CJK.match(word))
    return cjk >= 3 or len(words) - cjk >= 2


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word.strip("'")]
