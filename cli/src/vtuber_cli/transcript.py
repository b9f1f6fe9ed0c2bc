"""A conversation as it is written down while it goes on: what is understood so far on one line, then the words, then her reply."""

import shutil
import unicodedata
from typing import Final

from vtuber_cli.console import Console

YOU: Final = "you  > "
SHE: Final = "she  > "


class Transcript:
    """Partial words are written over by the next ones; on no terminal only what is final is written."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._replying = False
        self._overwritten = False

    def partial(self, text: str) -> None:
        """What is understood so far."""
        self._end_line()
        width = shutil.get_terminal_size().columns - len(YOU) - 1
        self._console.again(self._console.paint(YOU + _end_of(text, width), "grey"))
        self._overwritten = True

    def dropped(self) -> None:
        """It was nothing."""
        if self._overwritten:
            self._console.again("")
            self._overwritten = False

    def final(self, text: str) -> None:
        """What was understood."""
        self._end_line()
        self._console.again(self._console.paint(YOU, "green") + text, last=True)
        self._overwritten = False

    def reply(self, text: str) -> None:
        """The next piece of her reply."""
        if not self._replying:
            self.dropped()
            self._console.write(self._console.paint(SHE, "magenta"))
            self._replying = True
        self._console.write(text)

    def replied(self) -> None:
        """Her reply is over."""
        self._end_line()

    def note(self, text: str) -> None:
        """Something beside the conversation."""
        self._end_line()
        self.dropped()
        self._console.say(self._console.paint(text, "yellow"))

    def _end_line(self) -> None:
        if self._replying:
            self._console.say()
            self._replying = False


def _end_of(text: str, columns: int) -> str:
    """As much of the end as fits on a line that is to be written over; a hanzi takes two columns."""
    fits = ""
    for character in reversed(text):
        columns -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns < 0:
            break
        fits = character + fits
    return fits
