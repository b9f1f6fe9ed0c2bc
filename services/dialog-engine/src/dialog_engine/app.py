"""Routes and health checks of the engine, and the order in which its components start and stop."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Final

from fastapi import FastAPI, Header
from fastapi.responses import Response

from dialog_contracts.http import ChatRequest
from dialog_engine.chat_service import ChatService
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.backlog_report import BacklogReport
from dialog_engine.outbox.routes import outbox_routes
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.redis_store import EngineStore
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.settings import EngineSettings
from dialog_flags.flag_documents import FlagDocuments
from dialog_flags.unsupported import not_served
from dialog_llm.errors import LlmError
from dialog_llm.session_models import SessionModels
from dialog_providers.warming import Warming
from dialog_redis.client import RedisClient
from dialog_redis.event_streams.publisher import EventPublisher
from dialog_redis.flag_subscriber import FlagSubscriber
from dialog_sqlite import file_check
from dialog_sqlite.transfer import DatabaseTransfer
from dialog_sqlite.transfer_routes import backup_routes
from dialog_voice.errors import VoiceError
from dialog_voice.registry import SessionVoices
from service_runtime import api
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts
from service_runtime.http.sse_response import SseResponse

FINAL_DRAIN_S: Final = 3.0
"""Seconds for events that are left when the last turn has ended; the others went before."""


def build(settings: EngineSettings) -> FastAPI:
    """Return the application of one engine process. Raises UnusableDatabase."""
    file_check.check(settings.dialog_engine_db, "DIALOG_ENGINE_DB")
    redis, tasks, relaying = RedisClient(settings.redis_url), BackgroundTasks(), BackgroundTasks()
    file = database(settings.dialog_engine_db)
    memory, outbox = ShortTermMemory(file), OutboxStore(file)
    publisher = EventPublisher(settings.redis_url)
    relay = OutboxRelay(outbox, publisher)
    report = BacklogReport(redis, relay, settings.ordinal)
    documents = FlagDocuments()
    session_models, voices = SessionModels(settings, documents), SessionVoices(settings, documents)
    watch = FlagSubscriber(
        documents,
        "dialog-engine",
        settings,
        missing_keys=lambda: sorted({*session_models.missing_keys(), *voices.missing_keys()}),
        unsupported=not_served,
    )
    leases = SessionLeases(redis, ordinal=settings.ordinal, shared=settings.session_leases)
    service = ChatService(
        settings, memory, session_models, voices, EngineStore(redis), leases, relay
    )
    models, voices_warming = (
        Warming("models", session_models.default, LlmError),
        Warming("voices", voices.default, VoiceError),
    )

    async def restored() -> None:
        """Forget what memory has of the database that was replaced."""
        relay.forget_streams()
        await service.reload_sessions()

    transfer = DatabaseTransfer(file, busy=service.busy_reason, on_restored=restored)
    probe = HealthCheck("dialog-engine")
    probe.require(
        "warm-up", lambda: "warming" if models.untried or voices_warming.untried else None
    )
    probe.require("database", lambda: file.failing)
    probe.require("model", lambda: models.reason)
    probe.require("voice", lambda: voices_warming.reason)
    probe.require(
        "output-handler",
        lambda: (
            None
            if any(link.connected for link in service.outputs.connections)
            else "no output-handler is connected"
        ),
    )
    probe.info("redis", lambda: redis.unavailable_reason or "ok")
    probe.info("sessions", lambda: len(leases.session_ids))
    probe.info("flags", watch.state)
    probe.info("outbox", lambda: report.current().to_wire())
    probe.info("models", lambda: session_models.default.report().to_wire())
    probe.info("voices", lambda: voices.default.report().to_wire())

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await file.open()
            stack.push_async_callback(file.close)
            stack.push_async_callback(transfer.aclose)
            stack.push_async_callback(publisher.aclose)
            stack.push_async_callback(report.write)
            stack.push_async_callback(relay.drain, FINAL_DRAIN_S)
            # It runs until the last turn is stored, so that little is left to deliver then.
            relaying.run_forever("relay", relay.run)
            relaying.run_forever("backlog-report", report.run)
            stack.push_async_callback(relaying.close)
            stack.push_async_callback(session_models.aclose)
            stack.push_async_callback(voices.aclose)
            watch.start()
            stack.push_async_callback(watch.aclose)
            service.start()
            stack.push_async_callback(service.close)
            stack.push_async_callback(tasks.close)
            for warming in (models, voices_warming):
                tasks.start("warm-up", warming.run())
            yield

    hosts = AllowedHosts(settings.allowed_hosts, inside=True)
    app = api.create("dialog-engine", probe, parts, hosts=hosts, leave=service.start_draining)

    app.include_router(outbox_routes(outbox, relay, report))
    app.include_router(backup_routes(transfer))

    @app.post("/chat/stream")
    async def chat_stream(
        request: ChatRequest,
        last_event_id: Annotated[str | None, Header()] = None,
        traceparent: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Answer one turn as Server-Sent Events."""
        opened = service.open(request, last_event_id, traceparent)
        # The context is entered before the response begins, so that a rejection is an HTTP error.
        return SseResponse(await opened.__aenter__(), lambda: opened.__aexit__(None, None, None))

    return app
