"""Answers of the legacy chain that wait for their time in one session, and what becomes of each. Pure: the clock's ms are an argument."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from dialog_contracts.legacy_chain import TaskResponse
from output_handler.turn_view import TurnView

WAITING_MAX: Final = 64


class Fate(StrEnum):
    """What becomes of an answer now."""

    TURN = "turn"
    """It is told as a turn of its own."""
    VOICE = "voice"
    """It is the voice of the present turn, whose text the engine has streamed."""
    WAIT = "wait"
    """Something older still sounds, or the engine has not finished the text yet."""
    LATE = "late"
    """A newer turn is on air, or the turn was answered without it, or stopped: it is not voiced."""
    ASIDE = "aside"
    """It names no turn (an older producer): only viewers of the older dialect can place it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An answer on its way. `live`: viewers were there when it came; `again`: it was played, and nobody was there at its end."""

    response: TaskResponse
    live: bool
    again: bool = False

    @property
    def turn(self) -> int | None:
        """The turn it answers."""
        return self.response.meta.turn

    @property
    def of_engine(self) -> bool:
        """The engine answered this turn; only the voice comes from the legacy chain."""
        return (
            self.response.meta.from_channel == "dialog_engine" and self.response.meta.reason is None
        )

    def start(self, session_id: str, epoch: int) -> Start:
        """How the turn that it answers begins for the viewers."""
        meta = self.response.meta
        return Start(
            session_id=session_id,
            turn=self.turn or 1,
            epoch=epoch,
            traceparent=meta.traceparent,
            flags=meta.flags or FlagSet(),
            user_text=self.response.user_text,
            path=None if self.of_engine else "legacy",
            reason=meta.reason,
        )


def fate(letter: Letter, view: TurnView | None, now_ms: float) -> Fate:
    """By the present turn, where there is one."""
    turn = letter.turn
    if turn is None:
        return Fate.ASIDE
    if view is None:
        return Fate.TURN
    if turn > view.turn:
        return Fate.WAIT if view.awaits_voice or view.audible(now_ms) else Fate.TURN
    if turn < view.turn or view.interrupted:
        return Fate.LATE
    if view.awaits_voice:
        return Fate.VOICE
    if letter.again:
        return Fate.TURN
    if view.from_file:
        return Fate.LATE
    if letter.of_engine:
        return Fate.LATE if view.ended or view.stopped else Fate.WAIT
    # An engine that announced the turn and broke off before its first word; had it said one, nobody else would have answered.
    return Fate.LATE if view.text else Fate.TURN


class Mailbox:
    """Letters in the order of their turns, those without a turn first, each once."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> Letter | None:
        """Keep a letter; gives the one that had to go for it, if the box was full."""
        self._letters[letter.response.message_id] = letter
        return self.take(self.first()) if len(self._letters) > WAITING_MAX else None

    def first(self) -> Letter | None:
        """The one whose turn comes first."""
        return min(self._letters.values(), key=_order, default=None)

    def before(self, letter: Letter) -> bool:
        """Whether one waits whose turn comes before this one's."""
        first = self.first()
        return first is not None and _order(first) < _order(letter)

    def take(self, letter: Letter | None) -> Letter | None:
        """Out of the box with it."""
        return None if letter is None else self._letters.pop(letter.response.message_id, None)

    @property
    def unsure(self) -> bool:
        """Whether any of them may have been heard elsewhere meanwhile."""
        return any(not letter.live for letter in self._letters.values())

    def sort_out(self, heard: set[str]) -> list[Letter]:
        """Those that waited and were heard elsewhere go, and are given; the others are certain from now on."""
        gone = [
            letter for name, letter in self._letters.items() if not letter.live and name in heard
        ]
        for letter in gone:
            self.take(letter)
        return gone

    def let_bygones_go(self) -> list[Letter]:
        """Of what was answered while nobody was there, only the newest is told: whoever comes now joins the conversation as it is."""
        newest = max((letter.turn or 0 for letter in self._letters.values()), default=0)
        gone = [
            each
            for each in self._letters.values()
            if not each.live and each.turn is not None and each.turn < newest
        ]
        for letter in gone:
            self.take(letter)
        return gone

    def certain(self) -> None:
        """What is left is told to those who are there now."""
        self._letters = {
            name: Letter(each.response, True, each.again) for name, each in self._letters.items()
        }


def _order(letter: Letter) -> tuple[int, float]:
    return (letter.turn or 0, letter.response.meta.received_at or 0.0)
