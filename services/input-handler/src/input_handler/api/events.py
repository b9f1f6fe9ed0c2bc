"""Events that wait or have failed, in the outboxes of all engines and in the streams.

Engines are asked directly, so the backlog is visible while Redis is away. Engines that do not answer
are listed with their last report in Redis; that may be the volume of an engine that was scaled down.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dialog_contracts import redis_names
from dialog_contracts.events_api import (
    MAX_LISTED,
    EventsBacklog,
    FailedEvent,
    FailedEvents,
    OutboxBacklog,
    ReplayReceipt,
    ReplayRequest,
    StreamBacklog,
)
from dialog_contracts.model import WireModel
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.event_streams import scripts
from input_handler.engine.client import EngineClient, EngineUnreachable
from input_handler.engine.pool import EnginePool

M = TypeVar("M", bound=WireModel)
STREAMS: Final = tuple(redis_names.EVENT_GROUPS)


class EventsAdmin:
    """Backlog, failed events, and their replay. No method raises: what is missing is named."""

    def __init__(self, redis: RedisClient, engines: EnginePool) -> None:
        self._redis, self._engines = redis, engines

    async def backlog(self) -> EventsBacklog:
        """Return what waits in each outbox and in each stream."""
        live, _ = await self._ask_engines("GET", "/outbox", OutboxBacklog)
        outboxes = {each.ordinal: each for each in live}
        streams: list[StreamBacklog] = []
        problem = None
        try:
            for each in await self._redis.call("events", _reports):
                if each.ordinal not in outboxes:
                    outboxes[each.ordinal] = each.model_copy(update={"live": False})
            streams += await self._redis.call("events", _streams)
        except RedisUnavailable as error:
            problem = str(error)
        return EventsBacklog(
            outboxes=[outboxes[ordinal] for ordinal in sorted(outboxes)],
            streams=streams,
            redis=problem,
        )

    async def failed(self) -> FailedEvents:
        """Return parked events and dead letters, newest first."""
        parked, _ = await self._ask_engines("GET", "/outbox/parked", FailedEvents)
        found = [event for each in parked for event in each.events]
        problem = None
        try:
            found += await self._redis.call("events", _dead)
        except RedisUnavailable as error:
            problem = str(error)
        found.sort(key=lambda event: -(event.at_ms or 0))
        return FailedEvents(events=found[:MAX_LISTED], redis=problem)

    async def replay(self, request: ReplayRequest) -> ReplayReceipt:
        """Try failed events again, all of them or those named."""
        body = request.to_json().encode()
        receipts, unreachable = await self._ask_engines(
            "POST", "/outbox/replay", ReplayReceipt, body
        )
        dead = 0
        try:
            dead = await self._redis.call("events", lambda client: _replay(client, request.ids))
        except RedisUnavailable as error:
            unreachable.append(str(error))
        return ReplayReceipt(
            parked=sum(each.parked for each in receipts), dead=dead, unreachable=unreachable
        )

    async def _ask_engines(
        self, method: str, path: str, model: type[M], body: bytes | None = None
    ) -> tuple[list[M], list[str]]:
        """Return the responses of the engines, and the problems of those that do not answer."""

        async def ask(client: EngineClient) -> M | str:
            try:
                return model.from_json(await client.fetch(method, path, body))
            except (EngineUnreachable, ValidationError) as error:
                return str(error)[:200]

        answers = await asyncio.gather(*(ask(client) for client in self._engines.clients()))
        return (
            [each for each in answers if not isinstance(each, str)],
            [each for each in answers if isinstance(each, str)],
        )


async def _reports(client: Redis) -> list[OutboxBacklog]:
    rows = await client.hgetall(redis_names.OUTBOX_BACKLOGS)
    found: list[OutboxBacklog] = []
    for raw in rows.values():
        try:
            found.append(OutboxBacklog.from_json(str(raw)))
        except ValidationError:
            # A newer engine may report in another form.
            continue
    return found


async def _streams(client: Redis) -> list[StreamBacklog]:
    return [await _stream(client, stream) for stream in STREAMS]


async def _stream(client: Redis, stream: str) -> StreamBacklog:
    group = redis_names.EVENT_GROUPS[stream]
    unread = pending = 0
    try:
        for each in await client.xinfo_groups(stream):
            if each["name"] == group:
                unread, pending = int(each.get("lag") or 0), int(each["pending"])
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
    dead = int(await client.xlen(redis_names.dead_events(stream)))
    return StreamBacklog(stream=stream, group=group, unread=unread, pending=pending, dead=dead)


async def _dead(client: Redis) -> list[FailedEvent]:
    found: list[FailedEvent] = []
    for stream in STREAMS:
        rows: Any = await client.xrevrange(redis_names.dead_events(stream), count=MAX_LISTED)
        found += [_failed(stream, str(name), fields) for name, fields in rows]
    return found


def _failed(stream: str, name: str, fields: dict[str, Any]) -> FailedEvent:
    return FailedEvent(
        id=name,
        where="dead",
        stream=stream,
        event_id=str(fields.get("eventId", "")),
        type=str(fields.get("type", "")),
        reason=str(fields.get("reason", "")),
        at_ms=int(fields["at"]) * 1000 if str(fields.get("at", "")).isdigit() else None,
        payload=str(fields.get("payload", "")),
    )


async def _replay(client: Redis, ids: Sequence[str] | None) -> int:
    moved = 0
    for stream in STREAMS:
        dead = redis_names.dead_events(stream)
        if ids is None:
            rows: Any = await client.xrange(dead, count=redis_names.MAX_DEAD_EVENTS)
            names = [str(name) for name, _ in rows]
        else:
            names = [name for name in ids if _is_stream_id(name)]
        for begin in range(0, len(names), MAX_LISTED):
            part = names[begin : begin + MAX_LISTED]
            moved += int(await client.eval(scripts.REPLAY, 2, dead, stream, *part))
    return moved


def _is_stream_id(name: str) -> bool:
    ms, dash, seq = name.partition("-")
    return bool(dash) and ms.isascii() and ms.isdigit() and seq.isascii() and seq.isdigit()
