"""analytics_worker: counts the turns of `events.analytics`, and serves the figures.

It owns the store. A batch of events is applied in one transaction, and acknowledged after it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Final

import apsw
import structlog
from fastapi import FastAPI, Query

from async_workers.analytics.store import AnalyticsStore, analytics_database
from async_workers.settings import AnalyticsSettings
from dialog_contracts import redis_names
from dialog_contracts.events_api import AnalyticsReport
from dialog_contracts.model import SESSION_ID_RULE, is_session_id
from dialog_contracts.outbox import OutboxEvent
from dialog_redis.event_streams.consumer import EventConsumer
from dialog_redis.event_streams.entry import Applied, EffectUnavailable, Entry, Rejected
from dialog_redis.event_streams.group import GroupStore
from dialog_sqlite import file_check
from dialog_sqlite.errors import StoreClosed
from dialog_sqlite.transfer import DatabaseTransfer
from dialog_sqlite.transfer_routes import backup_routes
from service_runtime import api
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import InvalidField
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts
from service_runtime.server import serve

log = structlog.get_logger("analytics")

CLEANUP_INTERVAL_S: Final = 3_600.0
DAY_S: Final = 24 * 3600


class AnalyticsEffect:
    """Applies events to the store."""

    def __init__(self, store: AnalyticsStore) -> None:
        self._store = store

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Applied]:
        """Apply the events in one transaction; raises EffectUnavailable."""
        results: list[Applied] = []
        events: list[OutboxEvent] = []
        for entry in entries:
            try:
                events.append(entry.event())
            except Rejected as error:
                results.append(Applied(str(error)))
            else:
                results.append(Applied())
        try:
            await self._store.apply(events)
        except (apsw.FullError, apsw.IOError, apsw.BusyError, StoreClosed) as error:
            raise EffectUnavailable(f"analytics store: {error!r}"[:200]) from error
        return results


def build(settings: AnalyticsSettings) -> FastAPI:
    """Return the application: a consumer, `GET /analytics`, and the probes.

    Raises UnusableDatabase.
    """
    file_check.check(settings.analytics_db, "ANALYTICS_DB")
    file = analytics_database(settings.analytics_db)
    store, tasks, transfer = AnalyticsStore(file), BackgroundTasks(), DatabaseTransfer(file)
    consumer = EventConsumer(
        GroupStore(settings.redis_url, redis_names.EVENTS_ANALYTICS, settings.process_name),
        AnalyticsEffect(store).apply,
        claim_after_s=settings.claim_after_s,
        attempts_max=settings.attempts_max,
        close_within_s=settings.shutdown_grace_s,
    )
    probe = HealthCheck("analytics-worker")
    probe.require("database", lambda: file.failing)
    # Figures are served while Redis is away, so only a consumer that is broken is not ready.
    probe.require("events", lambda: consumer.broken_reason)
    probe.info("stream", lambda: {"name": consumer.stream, "waiting": consumer.lag})
    probe.info("redis", lambda: consumer.unavailable_reason or "ok")

    async def clean_up() -> None:
        while True:
            await store.delete_before(int(time.time()) - settings.analytics_retention_days * DAY_S)
            await asyncio.sleep(CLEANUP_INTERVAL_S)

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await file.open()
            stack.push_async_callback(file.close)
            stack.push_async_callback(transfer.aclose)
            stack.push_async_callback(tasks.close)
            consumer.start()
            stack.push_async_callback(consumer.aclose)
            tasks.run_forever("clean-up", clean_up)
            yield

    app = api.create(
        "analytics-worker", probe, parts, hosts=AllowedHosts(settings.allowed_hosts, inside=True)
    )

    @app.get("/analytics", response_model_exclude_none=True)
    async def analytics(session: Annotated[str | None, Query()] = None) -> AnalyticsReport:
        """Return the figures of one session, or of the latest sessions."""
        if session is not None and not is_session_id(session):
            raise InvalidField(f"session: a session id is {SESSION_ID_RULE}", field="session")
        return await store.report(session)

    app.include_router(backup_routes(transfer))
    return app


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("analytics-worker", AnalyticsSettings, build)
