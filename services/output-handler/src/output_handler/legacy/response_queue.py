"""Answers of the legacy chain that wait for their time in one session, and what becomes of each. Pure: the clock's ms are an argument."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from dialog_contracts.legacy_chain import TaskResponse
from output_handler.playback.turn import AudioSource, PlaybackTurn

MAX_PENDING: Final = 64


class Disposition(StrEnum):
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
class PendingResponse:
    """An answer on its way. `live`: viewers were there when it came; `again`: it was played, and nobody was there at its end."""

    response: TaskResponse
    live: bool
    redelivered: bool = False

    @property
    def turn(self) -> int | None:
        """The turn it answers."""
        return self.response.meta.turn

    @property
    def from_engine(self) -> bool:
        """The engine answered this turn; only the voice comes from the legacy chain."""
        return (
            self.response.meta.from_channel == "dialog_engine" and self.response.meta.reason is None
        )

    def start_message(self, session_id: str, epoch: int) -> Start:
        """How the turn that it answers begins for the viewers."""
        meta = self.response.meta
        return Start(
            session_id=session_id,
            turn=self.turn or 1,
            epoch=epoch,
            traceparent=meta.traceparent,
            flags=meta.flags or FlagSet(),
            user_text=self.response.user_text,
            path=None if self.from_engine else "legacy",
            reason=meta.reason,
        )


def decide(pending: PendingResponse, present: PlaybackTurn, now_ms: float) -> Disposition:
    """By the present turn; number 0 before the first one."""
    turn = pending.turn
    if turn is None:
        return Disposition.ASIDE
    awaited = present.source is AudioSource.FILE_AWAITED
    if turn > present.number:
        return Disposition.WAIT if awaited or present.audible(now_ms) else Disposition.TURN
    if turn < present.number or present.interrupted:
        return Disposition.LATE
    if awaited:
        return Disposition.VOICE
    if pending.redelivered:
        return Disposition.TURN
    if present.source is AudioSource.FILE:
        return Disposition.LATE
    if pending.from_engine:
        return Disposition.LATE if present.ended or present.stopped else Disposition.WAIT
    # An engine announced the turn and broke off before its first word. Had it sent one, no other
    # path would have answered.
    return Disposition.LATE if present.text else Disposition.TURN


class ResponseQueue:
    """Letters in the order of their turns, those without a turn first, each once."""

    def __init__(self) -> None:
        self._responses: dict[str, PendingResponse] = {}

    def __len__(self) -> int:
        return len(self._responses)

    def add(self, pending: PendingResponse) -> PendingResponse | None:
        """Keep a letter; gives the one that had to go for it, if the box was full."""
        self._responses[pending.response.message_id] = pending
        return self.remove(self.first()) if len(self._responses) > MAX_PENDING else None

    def first(self) -> PendingResponse | None:
        """The one whose turn comes first."""
        return min(self._responses.values(), key=_order, default=None)

    def has_earlier(self, pending: PendingResponse) -> bool:
        """Whether one waits whose turn comes before this one's."""
        first = self.first()
        return first is not None and _order(first) < _order(pending)

    def remove(self, pending: PendingResponse | None) -> PendingResponse | None:
        """Out of the box with it."""
        return None if pending is None else self._responses.pop(pending.response.message_id, None)

    @property
    def unconfirmed(self) -> bool:
        """Whether any of them may have been heard elsewhere meanwhile."""
        return any(not pending.live for pending in self._responses.values())

    def drop_delivered_elsewhere(self, delivered: set[str]) -> list[PendingResponse]:
        """Those that waited and were heard elsewhere go, and are given; the others are certain from now on."""
        gone = [
            pending
            for name, pending in self._responses.items()
            if not pending.live and name in delivered
        ]
        for pending in gone:
            self.remove(pending)
        return gone

    def drop_superseded(self) -> list[PendingResponse]:
        """Of what was answered while nobody was there, only the newest is told: whoever comes now joins the conversation as it is."""
        newest = max((pending.turn or 0 for pending in self._responses.values()), default=0)
        gone = [
            each
            for each in self._responses.values()
            if not each.live and each.turn is not None and each.turn < newest
        ]
        for pending in gone:
            self.remove(pending)
        return gone

    def confirm_all(self) -> None:
        """What is left is told to those who are there now."""
        self._responses = {
            name: PendingResponse(each.response, True, each.redelivered)
            for name, each in self._responses.items()
        }


def _order(pending: PendingResponse) -> tuple[int, float]:
    return (pending.turn or 0, pending.response.meta.received_at or 0.0)
