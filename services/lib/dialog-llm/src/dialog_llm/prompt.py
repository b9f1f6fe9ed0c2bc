"""Builds the prompt: persona, the recent turns that fit, and the new message."""

import re
from collections.abc import Sequence
from typing import Final

from dialog_contracts.http import TurnRecord
from dialog_contracts.writing_systems import CJK
from dialog_llm import thought_filter
from dialog_llm.provider import Message

CONTEXT_TOKENS: Final = 2_000
"""Default of the largest number of tokens of recent turns; the newest are taken first."""

CHARS_PER_TOKEN: Final = 4
"""Of text in letters; a Chinese, Japanese or Korean character is about one token by itself."""

_CJK: Final = re.compile(f"[{CJK}]")


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has; each model counts a little differently."""
    own = len(_CJK.findall(text))
    return own + -(-(len(text) - own) // CHARS_PER_TOKEN)


def build(
    persona: str,
    recent: Sequence[TurnRecord],
    user_text: str,
    *,
    context_tokens: int = CONTEXT_TOKENS,
) -> list[Message]:
    """Return the messages in the order of the conversation. `recent` is ordered oldest first."""
    taken: list[TurnRecord] = []
    room = context_tokens
    for record in reversed(recent):
        room -= estimated_tokens(record.user) + estimated_tokens(record.reply)
        if room < 0:
            break
        taken.append(record)
    messages = [Message("system", persona)]
    for record in reversed(taken):
        if record.user:
            messages.append(Message("user", record.user))
        # Turns stored by earlier versions may contain thoughts; models answer worse when they read
        # their own.
        if reply := thought_filter.strip_thoughts(record.reply):
            # Without the mark the model would take half a sentence for its own style.
            messages.append(
                Message("assistant", reply + ("… [interrupted]" if record.interrupted else ""))
            )
    messages.append(Message("user", user_text))
    return messages
