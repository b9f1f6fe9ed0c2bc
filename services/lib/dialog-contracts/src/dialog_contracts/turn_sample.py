"""One entry of the stream `vtuber:turns`.

Flag rollouts are assessed by these entries, and dashboards can be rebuilt from them.
"""

from typing import Literal

from dialog_contracts.http import FlagSet
from dialog_contracts.model import SessionId, TraceParent, Turn, WireModel


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
    ts: float
    traceparent: TraceParent | None = None
