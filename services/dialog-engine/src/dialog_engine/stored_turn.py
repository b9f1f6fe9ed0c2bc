"""A turn as the engine's database stores it."""

from dataclasses import dataclass
from typing import Literal

from dialog_contracts.http import TurnRecord


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it is stored.

    `ts` is in Unix seconds. `shape` has the lengths of the reply's deltas, and `stats` the figures
    of `done` as JSON. `path` says which path answered. `events`: the turn has events, as
    ENABLE_STREAMS_OUTBOX says, and `vectorize` is ENABLE_LTM of the turn.
    """

    session_id: str
    turn: int
    user: str
    reply: str
    ts: int
    request_id: str | None = None
    interrupted: bool = False
    revision: int = 0
    shape: tuple[int, ...] = ()
    stats: str = "{}"
    path: Literal["sync", "legacy"] = "sync"
    viewer_id: str | None = None
    lang: str | None = None
    events: bool = False
    vectorize: bool = False
    epoch: int | None = None
    traceparent: str | None = None

    def record(self) -> TurnRecord:
        """Return the turn in the form of the shared history."""
        return TurnRecord(
            turn=self.turn,
            user=self.user,
            reply=self.reply,
            ts=self.ts,
            interrupted=self.interrupted,
            path=self.path,
            request_id=self.request_id,
        )
