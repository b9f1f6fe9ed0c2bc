"""The text of a spoken conversation on the terminal: interim results, final words, and replies."""

import shutil
import unicodedata
from typing import Final

from vtuber_cli.console import Console

YOU: Final = "you  > "
CHARACTER: Final = "she  > "


class Transcript:
    """Writes one conversation.

    On a terminal an interim result is overwritten by the next one. Elsewhere only final words are
    written.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._replying = False
        self._overwritten = False

    def partial(self, text: str) -> None:
        """Show an interim result."""
        self._end_line()
        width = shutil.get_terminal_size().columns - len(YOU) - 1
        self._console.again(self._console.paint(YOU + _end_of(text, width), "grey"))
        self._overwritten = True

    def dropped(self) -> None:
        """Remove the interim result: no words followed."""
        if self._overwritten:
            self._console.again("")
            self._overwritten = False

    def final(self, text: str) -> None:
        """Write the final words of an utterance."""
        self._end_line()
        self._console.again(self._console.paint(YOU, "green") + text, last=True)
        self._overwritten = False

    def reply(self, text: str) -> None:
        """Write a piece of the reply."""
        if not self._replying:
            self.dropped()
            self._console.write(self._console.paint(CHARACTER, "magenta"))
            self._replying = True
        self._console.write(text)

    def replied(self) -> None:
        """End the line of the reply."""
        self._end_line()

    def note(self, text: str) -> None:
        """Write a message that is not part of the conversation."""
        self._end_line()
        self.dropped()
        self._console.say(self._console.paint(text, "yellow"))

    def _end_line(self) -> None:
        if self._replying:
            self._console.say()
            self._replying = False


def _end_of(text: str, columns: int) -> str:
    """Return the end of the text that fits into this many columns; a wide character takes two."""
    fits = ""
    for character in reversed(text):
        columns -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns < 0:
            break
        fits = character + fits
    return fits
