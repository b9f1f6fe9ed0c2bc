"""Routes of input-handler."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Final

from fastapi import FastAPI, Header, Request, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.responses import Response

from dialog_contracts import limits, redis_names
from dialog_contracts.events_api import (
    EventsBacklog,
    FailedEvents,
    ReplayReceipt,
    ReplayRequest,
)
from dialog_contracts.http import CLIENT_HEADER, ChatRequest, SessionList, SessionTurns
from dialog_contracts.model import SESSION_ID_RULE, is_session_id
from dialog_contracts.sse import SseFrame
from dialog_flags.flag_documents import FlagDocuments
from dialog_flags.openfeature_provider import DocumentProvider
from dialog_flags.session_flags import SessionFlags
from dialog_flags.unsupported import not_served, unsupported
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisClient
from dialog_redis.flag_subscriber import FlagSubscriber
from dialog_redis.legacy.responses import LegacyResponses
from dialog_redis.work_queue.queue import WorkQueue
from input_handler.api.backup import backup_routes
from input_handler.api.events import EventsAdmin
from input_handler.api.history import History
from input_handler.api.input_socket import InputSocket
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import EnginePool
from input_handler.engine.session_router import SessionRouter
from input_handler.engine.wait_for_engine import WaitForEngine
from input_handler.legacy.client import LegacyClient
from input_handler.legacy.recordings import CONCURRENCY, RecordingQueue
from input_handler.legacy.upload_budget import UploadBudget
from input_handler.legacy.upload_session import UploadSession
from input_handler.microphone.factory import MicrophoneFactory
from input_handler.microphone.playback_client import PlaybackClient
from input_handler.microphone.user_speaking import UserSpeakingNotifier
from input_handler.settings import InputSettings
from input_handler.turns.background_turn import BackgroundTurns
from input_handler.turns.connection_limit import ConcurrencyLimit
from input_handler.turns.running_turns import RunningTurns
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService
from service_runtime import api
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import InvalidField
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts
from service_runtime.http.sse_response import SseResponse

CLOSE_UNKNOWN_SESSION: Final = 4004
BAD_SESSION_ID: Final = f"a session id is {SESSION_ID_RULE}"


def build(settings: InputSettings) -> FastAPI:
    """Return the application of one input-handler process."""
    environment = settings.flags()
    documents = FlagDocuments()
    watch = FlagSubscriber(documents, "input-handler", settings, unsupported=not_served)
    redis = RedisClient(settings.redis_url)
    engines = _engines(settings)
    answers, blobs = LegacyResponses(settings.redis_url), BlobStore(settings.redis_url)
    legacy = LegacyClient(
        redis, answers, enabled=settings.legacy_enabled, timeout_s=settings.legacy_timeout_s
    )
    turns = TurnService(
        WaitForEngine(SessionRouter(engines), settings.engine_unavailable_wait_s),
        legacy,
        TurnNumberAllocator(redis),
        SessionFlags(DocumentProvider(documents, environment), environment),
        RunningTurns(
            max_total=settings.max_concurrent_turns,
            max_per_client=settings.max_turns_per_client,
            max_per_session=settings.max_turns_per_session,
        ),
        engine_retry_s=settings.engine_retry_s,
    )
    unattended = BackgroundTurns(turns, legacy)
    transcripts = (
        _recording_queue(settings, redis, blobs, unattended) if settings.legacy_enabled else None
    )
    control = PlaybackClient(settings.output_handler_url)
    notice = UserSpeakingNotifier(redis)
    microphones = MicrophoneFactory(
        settings.asr_url, control, notice, max_per_client=settings.max_microphones_per_client
    )
    history, uploads = History(redis), UploadBudget()
    events = EventsAdmin(redis, engines)
    tasks = BackgroundTasks()
    probe = HealthCheck(
        "input-handler",
        unsupported=lambda: unsupported(
            documents.effective(environment), legacy=settings.legacy_enabled
        ),
    )
    probe.info("redis", lambda: redis.unavailable_reason or "ok")
    probe.info("circuit", engines.circuit_states)
    probe.info("legacy", lambda: "on" if settings.legacy_enabled else "off")
    probe.info(
        "flags",
        lambda: {
            **watch.state(),
            "environment": environment.model_dump(exclude={"generation", "document"}),
        },
    )

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            watch.start()
            stack.push_async_callback(watch.aclose)
            await engines.open()
            stack.push_async_callback(engines.aclose)
            stack.push_async_callback(notice.aclose)
            await control.open()
            stack.push_async_callback(control.aclose)
            stack.push_async_callback(blobs.aclose)
            if transcripts is not None:
                answers.start()
                stack.push_async_callback(answers.aclose)
                transcripts.start()
                stack.push_async_callback(transcripts.aclose)
            stack.push_async_callback(tasks.close)
            tasks.start("warm-up", engines.warm())
            yield

    app = api.create(
        "input-handler", probe, parts, hosts=AllowedHosts(settings.allowed_hosts, inside=True)
    )

    @app.post("/chat/stream")
    async def chat_stream(
        message: ChatRequest,
        request: Request,
        last_event_id: Annotated[str | None, Header()] = None,
        traceparent: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Answer one turn as Server-Sent Events."""
        # Begun before the response, so that a refusal is an HTTP error and not a stream.
        turn = await turns.begin(
            message,
            last_event_id=last_event_id,
            traceparent=traceparent,
            client=_client_address(request),
        )

        async def batches() -> AsyncIterator[list[SseFrame]]:
            async for frame in turn:
                yield [frame]

        return SseResponse(batches(), turn.aclose)

    @app.get("/sessions", response_model_exclude_none=True)
    async def sessions() -> SessionList:
        """List the sessions, the newest first."""
        return await history.sessions()

    @app.get("/sessions/{session_id}/turns", response_model_exclude_none=True)
    async def session_turns(session_id: str) -> SessionTurns:
        """List a session's latest turns."""
        if not is_session_id(session_id):
            raise InvalidField(f"sessionId: {BAD_SESSION_ID}", field="sessionId")
        return await history.turns(session_id)

    app.include_router(backup_routes(engines))

    @app.get("/events/backlog", response_model_exclude_none=True)
    async def events_backlog() -> EventsBacklog:
        """Return the events that wait, by engine and by stream."""
        return await events.backlog()

    @app.get("/events/dead", response_model_exclude_none=True)
    async def events_dead() -> FailedEvents:
        """List the events that could not be delivered or applied."""
        return await events.failed()

    @app.post("/events/replay")
    async def events_replay(request: ReplayRequest) -> ReplayReceipt:
        """Try failed events again."""
        return await events.replay(request)

    @app.websocket("/ws/input")
    async def ws_input(socket: WebSocket) -> None:
        """Take messages, uploads and microphone frames of one client."""
        session_id = socket.query_params.get("sessionId") or str(uuid.uuid4())
        if not is_session_id(session_id):
            await socket.accept()
            await socket.close(CLOSE_UNKNOWN_SESSION, BAD_SESSION_ID)
            return
        slots = ConcurrencyLimit(settings.max_turns_per_connection)
        client = _client_address(socket)
        own = UploadSession(session_id, unattended, transcripts, tasks, slots, uploads, client)
        await InputSocket(socket, session_id, turns, slots, own, microphones, client).serve()

    return app


def _client_address(connection: HTTPConnection) -> str:
    """Return the client's address as the gateway says, or else that of the connection."""
    said = connection.headers.get(CLIENT_HEADER)
    return (
        said[: limits.MAX_META_CHARS]
        if said
        else connection.client.host
        if connection.client
        else ""
    )


def _engines(settings: InputSettings) -> EnginePool:
    urls = settings.dialog_engine_urls

    def connect(url: str) -> EngineClient:
        return EngineClient(url, silent_s=settings.engine_idle_timeout_s)

    def path(client: EngineClient, name: str) -> EngineGuard:
        return EngineGuard(
            client,
            name=name,
            accept_timeout_s=settings.engine_accept_timeout_s,
            first_token_timeout_s=settings.first_token_timeout_s,
            waited_for=settings.engine_unavailable_wait_s > 0,
            circuit_failures=settings.circuit_failures,
            circuit_open_s=settings.circuit_open_s,
        )

    return EnginePool(urls, settings.dialog_engine_pattern, connect, path)


def _recording_queue(
    settings: InputSettings, redis: RedisClient, blobs: BlobStore, turns: BackgroundTurns
) -> RecordingQueue:
    work = WorkQueue(
        settings.redis_url, redis_names.ASR_FINALS, settings.process_name, at_once=CONCURRENCY
    )
    return RecordingQueue(redis, blobs, turns, work)
