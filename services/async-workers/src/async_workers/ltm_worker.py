"""ltm_worker: passes the events of `events.ltm` to long-term memory.

Long-term memory applies each event once and answers when its effect is stored; only then the entry
is acknowledged. While it does not answer, the entries wait.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp
from pydantic import ValidationError
from starlette.applications import Starlette

from async_workers.settings import LtmWorkerSettings
from dialog_contracts import redis_names
from dialog_contracts.events_api import MemoryEventResult
from dialog_redis.event_streams.consumer import EventConsumer
from dialog_redis.event_streams.entry import Applied, EffectUnavailable, Entry, Rejected
from dialog_redis.event_streams.group import GroupStore
from service_runtime import application
from service_runtime.http.health import HealthCheck
from service_runtime.http.service_client import ServiceClient
from service_runtime.server import serve

ANSWER_TIMEOUT_S: Final = 10.0
MAX_BODY_BYTES: Final = 512 * 1024
"""Largest request to long-term memory, unless a single event is larger."""


class MemoryEffect:
    """Calls long-term memory."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Applied]:
        """Have the events applied; raises EffectUnavailable."""
        results: dict[str, Applied] = {}
        valid: list[tuple[Entry, str]] = []
        for entry in entries:
            try:
                entry.event()
            except Rejected as error:
                results[entry.id] = Applied(str(error))
            else:
                valid.append((entry, entry.fields["payload"]))
        for part in _by_size(valid):
            reasons = await self._send([raw for _, raw in part])
            for (entry, _), reason in zip(part, reasons, strict=True):
                results[entry.id] = Applied(reason)
        return [results[entry.id] for entry in entries]

    async def _send(self, payloads: Sequence[str]) -> list[str | None]:
        body = '{"events":[' + ",".join(payloads) + "]}"
        headers = {"content-type": "application/json"}
        try:
            async with (
                asyncio.timeout(ANSWER_TIMEOUT_S),
                await self._client.request(
                    "POST", "/events", body=body.encode(), headers=headers
                ) as answer,
            ):
                raw = await answer.read()
                if answer.status == 200:
                    return MemoryEventResult.from_json(raw).rejected
                said = _message(raw)
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError) as error:
            raise EffectUnavailable(f"long-term-memory: {type(error).__name__}") from error
        if answer.status >= 500 or answer.status == 429:
            raise EffectUnavailable(f"long-term-memory: {answer.status} {said}")
        raise RuntimeError(f"long-term-memory refused {len(payloads)} events: {said}")


def build(settings: LtmWorkerSettings) -> Starlette:
    """Return the application: a consumer, and the probes."""
    client = ServiceClient(settings.long_term_memory_url)
    consumer = EventConsumer(
        GroupStore(settings.redis_url, redis_names.EVENTS_LTM, settings.process_name),
        MemoryEffect(client).apply,
        claim_after_s=settings.claim_after_s,
        attempts_max=settings.attempts_max,
        close_within_s=settings.shutdown_grace_s,
    )
    probe = HealthCheck("ltm-worker")
    probe.require("events", lambda: consumer.unavailable_reason)
    probe.info("stream", lambda: {"name": consumer.stream, "waiting": consumer.lag})

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await client.open()
            stack.push_async_callback(client.aclose)
            consumer.start()
            stack.push_async_callback(consumer.aclose)
            yield

    return application.create(probe, parts, [], allowed_hosts=settings.allowed_hosts)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("ltm-worker", LtmWorkerSettings, build)


def _by_size(valid: Sequence[tuple[Entry, str]]) -> Iterator[list[tuple[Entry, str]]]:
    part: list[tuple[Entry, str]] = []
    size = 0
    for item in valid:
        if part and size + len(item[1]) > MAX_BODY_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item[1])
    if part:
        yield part


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return "without a message"
