"""Removes a model's thoughts from its text, however the text is split into pieces.

Models without a field for their reasoning write it into the reply: `<think>…</think>`, under
several names. A thought that is never closed extends to the end; the first closing tag ends a
thought. A text that may be the beginning of a tag is held back until it is decided, at most 110
characters.

Some servers drop the opening tag, so that a reply begins within a thought. For the first such reply
that is not known in advance, and only its closing tag is removed. From then on `ThoughtHabit`
expects it: the filter holds the text back until a tag decides, and returns it at the end if it was
not a thought.
"""

import re
from typing import Final

_NAMES: Final = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection")
_NAME: Final = "|".join(sorted(_NAMES, key=len, reverse=True))
_TAG: Final = re.compile(
    rf"<\s*(?P<close>/?)\s*(?:{_NAME})(?:\s[^<>]{{0,80}})?(?P<empty>/?)\s*>|◁(?P<close2>/?)think▷|\[(?P<close3>/?)THINK\]",
    re.IGNORECASE,
)
_LITERALS: Final = ("◁think▷", "◁/think▷", "[think]", "[/think]")
_BEGUN: Final = re.compile(
    r"<\s{0,8}(?P<slash>/?)\s{0,8}(?P<name>[a-z]*)(?P<rest>[\s/][^<>]{0,88})?", re.IGNORECASE
)
_TAG_CHARS: Final = 110
"""No tag is longer, so at most this many characters are held back."""


class ThoughtFilter:
    """Filters one reply: `feed` each piece, then call `finish`; both return text without thoughts.

    `thinking` says whether the text so far ends within a thought. With `begun` the reply probably
    begins within one; if no tag follows, the text was not a thought and is returned at the end.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._pending = ""
        self._undecided: list[str] | None = [] if begun else None
        self.thinking = begun
        self.any = False
        """Whether there was a tag."""

        self.unopened = False
        """Whether the first tag was a closing one."""

    def feed(self, piece: str) -> str:
        """Return the new text that is certainly not part of a thought or a tag."""
        if (
            not self._pending
            and not self.thinking
            and "<" not in piece
            and "◁" not in piece
            and "[" not in piece
        ):
            return piece
        text, self._pending = self._pending + piece, ""
        said = ""
        while (tag := _tag_in(text)) is not None:
            said += self._take(text[: tag.start()])
            text = text[tag.end() :]
            closes = bool(tag["close"] or tag["close2"] or tag["close3"])
            self.unopened = self.unopened or (closes and not self.any)
            if self._undecided is not None and not closes:
                # The reply opens its thoughts itself, so the text before was not a thought.
                said += "".join(self._undecided)
            self._undecided = None
            self.thinking = not closes and not tag["empty"]
            self.any = True
        at = _begins_a_tag(text)
        said += self._take(text[:at])
        self._pending = text[at:]
        return said

    def finish(self) -> str:
        """Return the text that was held back.

        What looked like the beginning of a tag was not one.
        """
        text, self._pending = self._pending, ""
        said = self._take(text)
        if self._undecided is not None:
            said, self._undecided = "".join(self._undecided), None
        return said

    def _take(self, text: str) -> str:
        if self._undecided is not None:
            self._undecided.append(text)
        return "" if self.thinking else text


class ThoughtHabit:
    """Remembers whether a model's last reply began within a thought."""

    def __init__(self) -> None:
        self._begins_in_thought = False

    def begin(self) -> ThoughtFilter:
        """Return the filter for the model's next reply."""
        return ThoughtFilter(begun=self._begins_in_thought)

    def learn(self, thoughts: ThoughtFilter) -> None:
        """Record how the reply of this filter began."""
        self._begins_in_thought = thoughts.unopened


def strip_thoughts(text: str) -> str:
    """Return a whole text without thoughts; a text without tags is returned unchanged."""
    thoughts = ThoughtFilter()
    said = thoughts.feed(text) + thoughts.finish()
    return said.strip() if thoughts.any else said


def _tag_in(text: str) -> re.Match[str] | None:
    for found in _TAG.finditer(text):
        if not found[0].startswith("[") or found[0].isupper():
            # `[think]` in lower case is a stage direction; the tag of that shape is in capitals.
            return found
    return None


def _begins_a_tag(text: str) -> int:
    """Return where an incomplete tag may begin, or the text's length."""
    for at in range(max(0, len(text) - _TAG_CHARS), len(text)):
        if text[at] in "<◁[" and _could_be_a_tag(text[at:]):
            return at
    return len(text)


def _could_be_a_tag(tail: str) -> bool:
    lowered = tail.lower()
    if any(literal.startswith(lowered) for literal in _LITERALS):
        return True
    begun = _BEGUN.fullmatch(tail)
    if begun is None:
        return False
    name = begun["name"].lower()
    if begun["rest"]:
        return name in _NAMES
    return any(known.startswith(name) for known in _NAMES)
