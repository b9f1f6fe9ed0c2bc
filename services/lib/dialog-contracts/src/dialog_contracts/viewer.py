"""Frames of `/ws/output/{id}` in the dialects `vtuber.v2` and `vtuber.v2.bin`.

To viewers: the frames of the ingest socket (START with `startedAt`, chunks, captions, END,
STOP_ACK, STOP as "flush"), plus STATE, ERROR and TIME. From viewers: STOP, PLAYED and TIME.
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
    """Phase of the character."""

    IDLE = "IDLE"
    LISTENING = "LISTENING"
    THINKING = "THINKING"
    SPEAKING = "SPEAKING"
    INTERRUPTED = "INTERRUPTED"


class State(WireModel):
    """The session's phase.

    With SPEAKING, `startedAt` is the time at which audio offset 0 plays, so that all viewers
    schedule alike. STATE is sent again when a chunk was late and the turn's start had to move.
    """

    type: Literal["STATE"] = "STATE"
    session_id: SessionId
    turn: int = Field(ge=0, description="0 before the first turn.")
    phase: Phase
    started_at: float = Field(description="ms on output-handler's clock.")


class ViewerError(WireModel):
    """An error that is reported to a viewer."""

    type: Literal["ERROR"] = "ERROR"
    code: str
    message: str


class TimeRequest(WireModel):
    """TIME from a viewer: its own clock in ms."""

    type: Literal["TIME"] = "TIME"
    t0: float


class TimeReply(WireModel):
    """TIME to a viewer: the viewer's t0, and output-handler's clock in ms."""

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
