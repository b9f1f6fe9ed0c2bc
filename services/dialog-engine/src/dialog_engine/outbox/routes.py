"""Endpoints about the outbox, for input-handler: backlog, parked events, replay."""

from fastapi import APIRouter

from dialog_contracts.events_api import (
    MAX_LISTED,
    FailedEvent,
    FailedEvents,
    OutboxBacklog,
    ReplayReceipt,
    ReplayRequest,
)
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.outbox.backlog_report import BacklogReport
from dialog_engine.outbox.store import OutboxStore


def outbox_routes(store: OutboxStore, relay: OutboxRelay, report: BacklogReport) -> APIRouter:
    """Return the routes of one engine."""
    routes = APIRouter(prefix="/outbox")

    @routes.get("", response_model_exclude_none=True)
    async def backlog() -> OutboxBacklog:
        return report.current()

    @routes.get("/parked", response_model_exclude_none=True)
    async def parked() -> FailedEvents:
        ordinal = report.current().ordinal
        return FailedEvents(
            events=[
                FailedEvent(
                    id=row.event_id,
                    where="parked",
                    stream=row.stream,
                    ordinal=ordinal,
                    event_id=row.event_id,
                    type=row.type,
                    reason=row.reason,
                    at_ms=row.at_ms,
                    payload=row.payload,
                )
                for row in await store.parked(MAX_LISTED)
            ]
        )

    @routes.post("/replay")
    async def replay(request: ReplayRequest) -> ReplayReceipt:
        count = await store.replay_parked(request.ids)
        relay.wake()
        return ReplayReceipt(parked=count, dead=0)

    return routes
