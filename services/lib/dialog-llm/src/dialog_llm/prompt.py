"""What the language model is given: persona, the recent turns that fit, the new words."""

from collections.abc import Sequence
from typing import Final

from dialog_contracts.http import TurnRecord
from dialog_llm import thought_filter
from dialog_llm.provider import Message

CONTEXT_CHARS: Final = 6_000
"""Recent turns are taken, newest first, until their texts pass this many characters."""


def build(persona: str, recent: Sequence[TurnRecord], user_text: str) -> list[Message]:
    """Messages in the order of the conversation. `recent` is oldest first."""
    taken: list[TurnRecord] = []
    room = CONTEXT_CHARS
    for record in reversed(recent):
        room -= len(record.user) + len(record.reply)
        if room < 0:
            break
        taken.append(record)
    messages = [Message("system", persona)]
    for record in reversed(taken):
        if record.user:
            messages.append(Message("user", record.user))
        # What earlier versions stored may hold thoughts; models answer worse when they read their own.
        if reply := thought_filter.strip_thoughts(record.reply):
            # The model should know that it was cut off, or it takes half a sentence for its own style.
            messages.append(
                Message("assistant", reply + ("… [interrupted]" if record.interrupted else ""))
            )
    messages.append(Message("user", user_text))
    return messages
