"""Routes of output-handler."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dialog_contracts.http import HoldReply, StopReply, StopRequest
from dialog_flags.flag_documents import FlagDocuments
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisClient
from dialog_redis.flag_subscriber import FlagSubscriber
from dialog_redis.legacy.responses import LegacyResponses
from dialog_redis.session_history import SessionHistory
from output_handler.broadcast import SessionBroadcast
from output_handler.hub import Hub
from output_handler.ingest.socket import serve_engine
from output_handler.legacy.reply_truncation import ReplyTruncation
from output_handler.legacy.response_source import ResponseSource
from output_handler.settings import OutputSettings
from output_handler.viewers.socket import serve_viewer
from service_runtime import application
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck
from service_runtime.http.request_body import read_model


def build(settings: OutputSettings) -> Starlette:
    """The application of one output-handler process."""
    answers, blobs, tasks = (
        LegacyResponses(settings.redis_url),
        BlobStore(settings.redis_url),
        BackgroundTasks(),
    )
    redis = RedisClient(settings.redis_url)
    notices = SessionBroadcast(settings.redis_url)
    words = ReplyTruncation(redis)
    hub = Hub(
        settings.linger_s,
        legacy=ResponseSource(
            answers, blobs, tasks, settings.voice_file_timeout_s, ActivePlayback(redis)
        ),
        publish_stop=notices.publish_stop,
        truncate_reply=words.truncate,
        history=SessionHistory(redis),
    )
    watch = FlagSubscriber(FlagDocuments(), "output-handler", settings)
    probe = HealthCheck("output-handler")
    started = time.monotonic()

    def no_engine_yet() -> str | None:
        # Only at the start: an engine that is being replaced later takes no viewer away from us.
        waiting = (
            not hub.had_engine and time.monotonic() - started < settings.first_engine_timeout_s
        )
        return "no engine has connected yet" if waiting else None

    probe.require("engines", no_engine_yet)
    probe.info("engines", lambda: hub.engines)
    probe.info("redis", lambda: answers.unavailable_reason or "ok")
    probe.info("flags", watch.state)

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        watch.start()
        answers.start()
        notices.start(hub.file_stopped, hub.user_speaking)
        try:
            yield
        finally:
            hub.close()
            await notices.aclose()
            await words.aclose()
            await redis.aclose()
            await answers.aclose()
            await tasks.close()
            await blobs.aclose()
            await watch.aclose()

    async def ingest(socket: WebSocket) -> None:
        await serve_engine(socket, hub)

    async def output(socket: WebSocket) -> None:
        await serve_viewer(socket, socket.path_params["session_id"], hub, settings)

    async def stop(request: Request) -> Response:
        asked = await read_model(request, StopRequest)
        reply = StopReply(
            stopped=await hub.stop(asked.session_id, asked.turn, asked.reason or "control")
        )
        return JSONResponse(reply.to_wire(), status_code=202)

    def hold(action: Literal["PAUSE", "RESUME"]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            asked = await read_model(request, StopRequest)
            held, turn = await hub.set_paused(action, asked.session_id, asked.turn)
            return JSONResponse(HoldReply(held=held, turn=turn).to_wire(), status_code=202)

        return answer

    routes = [
        WebSocketRoute("/ws/ingest/tts", ingest),
        WebSocketRoute("/ws/output/{session_id}", output),
        Route("/control/stop", stop, methods=["POST"]),
        Route("/control/pause", hold("PAUSE"), methods=["POST"]),
        Route("/control/resume", hold("RESUME"), methods=["POST"]),
    ]
    return application.create(probe, parts, routes, allowed_hosts=settings.allowed_hosts)
