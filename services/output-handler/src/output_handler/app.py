"""Routes of output-handler."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket

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
from service_runtime import api
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts


def build(settings: OutputSettings) -> FastAPI:
    """Return the application of one output-handler process."""
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

    app = api.create(
        "output-handler", probe, parts, hosts=AllowedHosts(settings.allowed_hosts, inside=True)
    )

    @app.websocket("/ws/ingest/tts")
    async def ingest(socket: WebSocket) -> None:
        """Take the frames of one engine."""
        await serve_engine(socket, hub)

    @app.websocket("/ws/output/{session_id}")
    async def output(socket: WebSocket, session_id: str) -> None:
        """Send a session's frames to one viewer."""
        await serve_viewer(socket, session_id, hub, settings)

    @app.post("/control/stop", status_code=202, response_model_exclude_none=True)
    async def stop(request: StopRequest) -> StopReply:
        """Stop the turn that plays."""
        stopped = await hub.stop(request.session_id, request.turn, request.reason or "control")
        return StopReply(stopped=stopped)

    @app.post("/control/pause", status_code=202, response_model_exclude_none=True)
    async def pause(request: StopRequest) -> HoldReply:
        """Pause the turn that plays, for five seconds at most."""
        held, turn = await hub.set_paused("PAUSE", request.session_id, request.turn)
        return HoldReply(held=held, turn=turn)

    @app.post("/control/resume", status_code=202, response_model_exclude_none=True)
    async def resume(request: StopRequest) -> HoldReply:
        """Resume the paused turn."""
        held, turn = await hub.set_paused("RESUME", request.session_id, request.turn)
        return HoldReply(held=held, turn=turn)

    return app
