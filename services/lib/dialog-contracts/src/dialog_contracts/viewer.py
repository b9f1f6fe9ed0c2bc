"""What a viewer of `/ws/output/{id}` hears and says in the dialects `vtuber.v2` and `vtuber.v2.bin`.

Down: everything of the ingest socket (START with `startedAt`, chunks, captions, END, STOP_ACK, STOP as "flush"), plus STATE, ERROR, TIME.
Back: STOP, PLAYED, TIME.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from dialog_contracts.ingest import Played, Stop
from dialog_contracts.model import SessionId, WireModel

SUBPROTOCOL = "vtuber.v2"
SUBPROTOCOL_BINARY = "vtuber.v2.bin"

CLOSE_TOO_SLOW = 1013
CLOSE_UNKNOWN_SESSION = 4004


class Phase(StrEnum):
    """What the character is doing."""

    IDLE = "IDLE"
    LISTENING = "LISTENING"
    THINKING = "THINKING"
    SPEAKING = "SPEAKING"
    INTERRUPTED = "INTERRUPTED"


class State(WireModel):
    """The session's phase. With SPEAKING, `startedAt` is when audio offset 0 sounds, so all ears schedule alike;
    it is sent again when speech came too late and the turn's clock had to move.
    """

    type: Literal["STATE"] = "STATE"
    session_id: SessionId
    turn: int = Field(ge=0, description="0 before the first turn.")
    phase: Phase
    started_at: float = Field(description="ms on output-handler's clock.")


class ViewerError(WireModel):
    """Something went wrong that a viewer should know."""

    type: Literal["ERROR"] = "ERROR"
    code: str
    message: str


class TimeRequest(WireModel):
    """TIME from a viewer: its own clock in ms."""

    type: Literal["TIME"] = "TIME"
    t0: float


class TimeReply(WireModel):
    """TIME back: the viewer's t0, and output-handler's clock in ms."""

    type: Literal["TIME"] = "TIME"
    t0: float
    t1: float


def _kind(value: object) -> str:
    if isinstance(value, dict):
        kind, action = value.get("type"), value.get("action")
    else:
        kind, action = getattr(value, "type", None), getattr(value, "action", None)
    return f"{kind}.{action}" if kind == "CONTROL" else str(kind)


ViewerFrame = Annotated[
    Annotated[Stop, Tag("CONTROL.STOP")]
    | Annotated[Played, Tag("PLAYED")]
    | Annotated[TimeRequest, Tag("TIME")],
    Discriminator(_kind),
]
FROM_VIEWER: TypeAdapter[Stop | Played | TimeRequest] = TypeAdapter(ViewerFrame)
