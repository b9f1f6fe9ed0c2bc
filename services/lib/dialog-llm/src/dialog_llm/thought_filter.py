"""Takes a model's thoughts out of its text, however the text is cut into pieces. Pure.

Models without a field for their reasoning write it into the reply: `<think>…</think>`, under several names. A thought that is never
closed reaches to the end; the first closing tag ends a thought.

Some servers keep the opening tag for themselves, so that a reply begins in the middle of a thought. Nobody can know that of the
first one, whose closing tag is dropped. From then on `Habit` expects it, and gives back what turned out to be no thought.
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
"""No tag is longer: so much of a text waits at most."""


class ThoughtFilter:
    """One reply. `feed` each piece, then `finish`; both give what is no thought. `thinking`: the text so far ends in a thought.

    `begun`: it probably begins within one; where no tag comes at all, it was none, and is given at the end.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._pending = ""
        self._undecided: list[str] | None = [] if begun else None
        self.thinking = begun
        self.any = False
        """Whether there was a tag at all."""

        self.unopened = False
        """Whether the first tag was a closing one."""

    def feed(self, piece: str) -> str:
        """What of the text so far is certainly said, and was not given before."""
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
                # It opens its thoughts itself, so what came before was none.
                said += "".join(self._undecided)
            self._undecided = None
            self.thinking = not closes and not tag["empty"]
            self.any = True
        at = _begins_a_tag(text)
        said += self._take(text[:at])
        self._pending = text[at:]
        return said

    def finish(self) -> str:
        """The text ends: what looked like the beginning of a tag was none."""
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
    """How one model begins its replies, as the last one showed."""

    def __init__(self) -> None:
        self._begins_in_thought = False

    def begin(self) -> ThoughtFilter:
        """For its next reply."""
        return ThoughtFilter(begun=self._begins_in_thought)

    def learn(self, thoughts: ThoughtFilter) -> None:
        """That reply is over."""
        self._begins_in_thought = thoughts.unopened


def strip_thoughts(text: str) -> str:
    """A whole text without thoughts; one that has none is returned as it is."""
    thoughts = ThoughtFilter()
    said = thoughts.feed(text) + thoughts.finish()
    return said.strip() if thoughts.any else said


def _tag_in(text: str) -> re.Match[str] | None:
    for found in _TAG.finditer(text):
        if not found[0].startswith("[") or found[0].isupper():
            # `[think]` in small letters is a stage direction; the tag of that shape is in capitals.
            return found
    return None


def _begins_a_tag(text: str) -> int:
    """Where a tag may begin that is not complete yet; the text's length where there is none."""
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
