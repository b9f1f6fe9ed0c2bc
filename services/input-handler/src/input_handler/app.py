"""Routes of input-handler."""

import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Annotated, Final

from fastapi import FastAPI, Header
from fastapi.responses import Response
from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.websockets import WebSocket

from dialog_contracts.http import ChatRequest, SessionList, SessionTurns
from dialog_contracts.model import SessionId
from dialog_flags.flags import FixedFlags
from dialog_flags.support import unsupported
from input_handler.engine_client import EngineClient
from input_handler.history import History
from input_handler.settings import InputSettings
from input_handler.socket import InputSocket
from input_handler.turn_caller import TurnCaller
from input_handler.turn_numbers import TurnNumbers
from service_runtime import application
from service_runtime.probes import Probe
from service_runtime.redis_link import RedisLink
from service_runtime.tasks import TaskOwner

HEARTBEAT_S: Final = 10
CLOSE_UNKNOWN_SESSION: Final = 4004
SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def build(settings: InputSettings) -> FastAPI:
    """The application of one input-handler process."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    flags = settings.flags()
    redis = RedisLink(settings.redis_url)
    engine = EngineClient(settings.dialog_engine_url)
    caller = TurnCaller(
        engine,
        TurnNumbers(redis),
        FixedFlags(flags),
        accepted_within_s=settings.accepted_within_s,
        first_delta_within_s=settings.first_delta_within_s,
    )
    history = History(redis)
    tasks = TaskOwner()
    probe = Probe("input-handler", unsupported=unsupported(flags))
    probe.detail("redis", lambda: redis.down_because or "ok")
    probe.detail("flags", lambda: flags.model_dump())

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await engine.open()
            stack.push_async_callback(engine.aclose)
            stack.push_async_callback(tasks.close)
            tasks.start("warm-up", engine.ready())
            yield

    app = application.create("input-handler", probe, parts)

    @app.post("/chat/stream")
    async def chat_stream(
        request: ChatRequest,
        last_event_id: Annotated[str | None, Header()] = None,
        traceparent: Annotated[str | None, Header()] = None,
    ) -> Response:
        frames = caller.call(request, last_event_id=last_event_id, traceparent=traceparent)
        first = await anext(frames)

        async def body() -> AsyncGenerator[bytes, None]:
            async with aclosing(frames):
                yield first.encode()
                async for frame in frames:
                    yield frame.encode()

        return EventSourceResponse(body(), ping=HEARTBEAT_S, headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})

    @app.get("/sessions")
    async def sessions() -> SessionList:
        return await history.sessions()

    @app.get("/sessions/{session_id}/turns")
    async def turns(session_id: SessionId) -> SessionTurns:
        return await history.turns(session_id)

    @app.websocket("/ws/input")
    async def ws_input(socket: WebSocket) -> None:
        session_id = socket.query_params.get("sessionId") or str(uuid.uuid4())
        if SESSION_ID.fullmatch(session_id) is None:
            await socket.accept()
            await socket.close(CLOSE_UNKNOWN_SESSION, "a session id is 1 to 64 of A-Z a-z 0-9 _ -")
            return
        await InputSocket(socket, session_id, caller, tasks, settings.turns_a_connection).serve()

    return app
