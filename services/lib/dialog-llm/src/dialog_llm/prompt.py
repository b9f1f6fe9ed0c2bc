"""Builds the prompt: persona, the recent turns that fit, and the new message."""

from collections.abc import Sequence
from typing import Final

from dialog_contracts.http import TurnRecord
from dialog_llm import thought_filter
from dialog_llm.provider import Message

CONTEXT_CHARS: Final = 6_000
"""Largest number of characters of recent turns; the newest are taken first."""


def build(persona: str, recent: Sequence[TurnRecord], user_text: str) -> list[Message]:
    """Return the messages in the order of the conversation. `recent` is ordered oldest first."""
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
        # Turns stored by earlier versions may contain thoughts; models answer worse when they read
        # their own.
        if reply := thought_filter.strip_thoughts(record.reply):
            # Without the mark the model would take half a sentence for its own style.
            messages.append(
                Message("assistant", reply + ("… [interrupted]" if record.interrupted else ""))
            )
    messages.append(Message("user", user_text))
    return messages
