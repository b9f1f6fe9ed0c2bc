"""Responses of the legacy pipeline that wait in one session, and what becomes of each.

Pure: times in ms of the session's clock are arguments.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from dialog_contracts.legacy_chain import TaskResponse
from output_handler.playback.turn import AudioSource, PlaybackTurn

MAX_PENDING: Final = 64


class Disposition(StrEnum):
    """What becomes of a response now."""

    TURN = "turn"
    """It is played as a turn of its own."""
    VOICE = "voice"
    """It is the audio of the present turn, whose text the engine has streamed."""
    WAIT = "wait"
    """An earlier turn still plays, or the engine has not ended the text yet."""
    LATE = "late"
    """A newer turn plays, or this turn was answered or stopped: its audio is left out."""
    ASIDE = "aside"
    """It names no turn, as older producers do: only legacy viewers get it."""


@dataclass(frozen=True, slots=True)
class PendingResponse:
    """A response that waits.

    `live`: viewers were connected when it came. `redelivered`: it was played, but no viewer was
    connected at its end.
    """

    response: TaskResponse
    live: bool
    redelivered: bool = False

    @property
    def turn(self) -> int | None:
        """Number of the turn it answers."""
        return self.response.meta.turn

    @property
    def from_engine(self) -> bool:
        """Whether an engine answered this turn and only the audio comes from the legacy pipeline."""
        return (
            self.response.meta.from_channel == "dialog_engine" and self.response.meta.reason is None
        )

    def start_message(self, session_id: str, epoch: int) -> Start:
        """Return the START of the turn it answers."""
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
    """Decide by the present turn, whose number is 0 before the first one."""
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
    """At most `MAX_PENDING` responses, each once, in the order of their turns.

    Those without a turn first.
    """

    def __init__(self) -> None:
        self._responses: dict[str, PendingResponse] = {}

    def __len__(self) -> int:
        return len(self._responses)

    def add(self, pending: PendingResponse) -> PendingResponse | None:
        """Add a response; return the one that was dropped for it, if the queue was full."""
        self._responses[pending.response.message_id] = pending
        return self.remove(self.first()) if len(self._responses) > MAX_PENDING else None

    def first(self) -> PendingResponse | None:
        """Return the response of the earliest turn."""
        return min(self._responses.values(), key=_order, default=None)

    def has_earlier(self, pending: PendingResponse) -> bool:
        """Return whether a response to an earlier turn waits."""
        first = self.first()
        return first is not None and _order(first) < _order(pending)

    def remove(self, pending: PendingResponse | None) -> PendingResponse | None:
        """Remove a response and return it."""
        return None if pending is None else self._responses.pop(pending.response.message_id, None)

    @property
    def unconfirmed(self) -> bool:
        """Whether any response may have been delivered by another output-handler meanwhile."""
        return any(not pending.live for pending in self._responses.values())

    def drop_delivered_elsewhere(self, delivered: set[str]) -> list[PendingResponse]:
        """Remove and return the responses that another output-handler has delivered."""
        gone = [
            pending
            for name, pending in self._responses.items()
            if not pending.live and name in delivered
        ]
        for pending in gone:
            self.remove(pending)
        return gone

    def drop_superseded(self) -> list[PendingResponse]:
        """Of the responses that came without viewers, keep only the newest; return the others."""
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
        """Mark the remaining responses as ones for the viewers that are connected now."""
        self._responses = {
            name: PendingResponse(each.response, True, each.redelivered)
            for name, each in self._responses.items()
        }


def _order(pending: PendingResponse) -> tuple[int, float]:
    return (pending.turn or 0, pending.response.meta.received_at or 0.0)
