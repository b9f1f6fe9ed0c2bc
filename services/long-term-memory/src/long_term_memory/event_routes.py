"""`POST /events` for ltm_worker: applies events, each once."""

from typing import Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dialog_contracts.events_api import MemoryEvent, MemoryEventResult
from dialog_contracts.outbox import OutboxEvent
from dialog_redis.client import RedisUnavailable
from long_term_memory.event_store import EventStore
from service_runtime.http.errors import Unavailable, field_error

MAX_BODY_BYTES: Final = 1024 * 1024


def event_routes(store: EventStore) -> list[Route]:
    """Return the route."""

    async def events(request: Request) -> Response:
        try:
            asked = MemoryEvent.from_json(await request.body())
        except ValidationError as error:
            raise field_error(error) from error
        rejected: list[str | None] = []
        for raw in asked.events:
            try:
                await store.apply(OutboxEvent.model_validate(raw))
            except ValidationError as error:
                rejected.append(field_error(error).body.message)
            except RedisUnavailable as error:
                # What was applied before is not applied again when the request is repeated.
                raise Unavailable(str(error), retry_after_s=1) from error
            else:
                rejected.append(None)
        body = MemoryEventResult(rejected=rejected).model_dump_json()
        return Response(body, media_type="application/json")

    return [Route("/events", events, methods=["POST"])]
