"""Bodies of the endpoints about events and analytics: backlog, dead letters, replay, figures."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from dialog_contracts.model import SessionId, ShortText, SnakeModel, WireModel

MAX_LISTED: Final = 1_000
"""Largest number of events in one response, and of event ids in one request."""


class OutboxBacklog(WireModel):
    """What the outbox of one engine has to deliver.

    Times are in Unix ms. `oldestMs` is when the oldest waiting event was stored.
    """

    ordinal: Annotated[int, Field(ge=0, le=255)]
    waiting: int
    parked: int
    oldest_ms: int | None = None
    problem: ShortText | None = Field(
        default=None, description="Why nothing is delivered now; absent while events are delivered."
    )
    at_ms: int = Field(description="When the engine reported this.")
    live: bool = Field(
        default=True, description="False: the engine does not answer; this is its last report."
    )


class StreamBacklog(WireModel):
    """What the consumers of one stream have not applied yet."""

    stream: str
    group: str
    unread: int = Field(description="Entries that no consumer has got yet.")
    pending: int = Field(description="Entries that a consumer has got and not acknowledged.")
    dead: int = Field(description="Events in the dead letter stream.")


class EventsBacklog(WireModel):
    """Body of `GET /events/backlog`. `streams` is empty while Redis is not available."""

    outboxes: list[OutboxBacklog]
    streams: list[StreamBacklog]
    redis: ShortText | None = Field(
        default=None, description="Why the streams cannot be read; absent if they can."
    )


class FailedEvent(WireModel):
    """An event that could not be delivered (`parked`) or applied (`dead`).

    `id` is the one to give to `POST /events/replay`.
    """

    id: str
    where: Literal["parked", "dead"]
    stream: str
    ordinal: int | None = Field(default=None, description="Engine whose outbox has it, if parked.")
    event_id: str
    type: str
    reason: str
    at_ms: int | None = None
    payload: str


class FailedEvents(WireModel):
    """Body of `GET /events/dead`, newest first."""

    events: list[FailedEvent]
    redis: ShortText | None = Field(
        default=None, description="Why dead letters cannot be read; absent if they can."
    )


class ReplayRequest(WireModel):
    """Body of `POST /events/replay`: which failed events are tried again.

    Without `ids` all of them.
    """

    ids: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=64)]],
            Field(min_length=1, max_length=MAX_LISTED),
        ]
        | None
    ) = None


class ReplayReceipt(WireModel):
    """Response to `POST /events/replay`: how many events are tried again."""

    parked: int
    dead: int
    unreachable: list[str] = Field(
        default=[], description="What did not answer: its events were not replayed."
    )


class TurnFigures(SnakeModel):
    """Figures of one turn. Times are in ms."""

    turn: int
    ts: int
    path: str
    interrupted: bool
    ttft_ms: float | None = None
    first_audio_ms: float | None = None


class SessionFigures(SnakeModel):
    """Figures of one session. Times are in ms; absent without any value."""

    session: SessionId
    turns: int
    interrupted: int
    legacy: int
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    first_audio_p50_ms: float | None = None
    first_audio_p95_ms: float | None = None
    last_ts: int | None = None
    recent: list[TurnFigures] = Field(
        default=[], description="The latest turns, oldest first; only for a single session."
    )


class AnalyticsReport(SnakeModel):
    """Body of `GET /analytics`: sessions, the most recently active first."""

    sessions: list[SessionFigures]


class MemoryEvent(WireModel):
    """Body of long-term memory's `POST /events`: events to apply, each once."""

    events: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_LISTED)]


class MemoryEventResult(WireModel):
    """Response: for each event, why it can never be applied, or null."""

    rejected: list[str | None]
