"""Selects what is read aloud of a reply: no code blocks, and only the host of an address.

Markup and emoji are removed by each voice (`script_runs.speakable`). Removed text becomes spaces,
so that a position in the spoken text is a position in the reply.
"""

import re
from typing import Final

_FENCE: Final = "```"
_LINK_TARGET: Final = re.compile(r"(?<=\])\([^()\s]*\)")
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)[!-~]*[!-~]")
_HOST: Final = re.compile(r"(?:https?://)?(?:[^@/\s]*@)?(?:www\.)?(?P<host>[^/:?#\s]+)")
_PAUSES: Final = frozenset(".,!?;:")


class SpeakableTextFilter:
    """Filters the fragments of one reply in their order; a code block may span several of them."""

    def __init__(self) -> None:
        self._in_code = False

    def apply(self, text: str) -> str:
        """Return the text for the voice, as long as the fragment."""
        return _ADDRESS.sub(_host, _LINK_TARGET.sub(_nothing, self._without_code(text)))

    def spoken(self, text: str) -> str | None:
        """Return the text for the voice; None for a fragment with nothing to pronounce."""
        speakable = self.apply(text)
        return speakable if any(character.isalnum() for character in speakable) else None

    def _without_code(self, text: str) -> str:
        result: list[str] = []
        for number, piece in enumerate(text.split(_FENCE)):
            if number:
                self._in_code = not self._in_code
                result.append(" " * len(_FENCE))
            result.append(" " * len(piece) if self._in_code else piece)
        return "".join(result)


def _nothing(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _host(found: re.Match[str]) -> str:
    address = found[0]
    named = _HOST.match(address)
    if named is None:
        return _nothing(found)
    start, end = named.span("host")
    # Punctuation that ends the sentence is not part of the address.
    last = address[-1] if address[-1] in _PAUSES and end < len(address) else ""
    return " " * start + address[start:end] + " " * (len(address) - end - len(last)) + last
