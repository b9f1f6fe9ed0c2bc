"""One entry of the stream `vtuber:turns`.

Flag rollouts are assessed by these entries, and dashboards can be rebuilt from them.
"""

from typing import Annotated, Literal

from pydantic import Field

from dialog_contracts.http import FlagSet
from dialog_contracts.model import SessionId, ShortText, TraceParent, Turn, WireModel


class TurnSample(WireModel):
    """Outcome and latencies of a turn.

    Latencies are ms from the receipt of the request by the service that answered.
    """

    session_id: SessionId
    turn: Turn
    flags: FlagSet
    path: Literal["sync", "legacy", "none"]
    outcome: Literal["completed", "interrupted", "failed", "cancelled"]
    reason: str | None = None
    ttft_ms: float | None = None
    first_audio_ms: float | None = None
    total_ms: float | None = None
    gaps: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Audible gaps: chunks that were ready only after their time."
    )
    outbox_age_ms: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Age of the oldest event that waits in the engine's outbox."
    )
    pod: ShortText | None = Field(default=None, description="Pod that answered.")
    ts: float
    traceparent: TraceParent | None = None
