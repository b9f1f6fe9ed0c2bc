"""Routes of the engine, and the order in which its parts start and end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.responses import Response
from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.types import Receive, Scope, Send

from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import SseFrame
from dialog_engine import providers
from dialog_engine.chat_service import ChatService
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_shelf import RedisShelf
from dialog_engine.settings import EngineSettings
from service_runtime import application
from service_runtime.probes import Probe
from service_runtime.redis_link import RedisLink

HEARTBEAT_S = 10
"""Seconds between comments on a silent stream, for proxies that cut idle connections."""


class TurnStream(EventSourceResponse):
    """The events of a turn as a response. Whatever ends the response, `leave` is called once."""

    def __init__(self, batches: AsyncIterator[list[SseFrame]], leave: Callable[[], Awaitable[bool | None]]) -> None:
        async def body() -> AsyncIterator[bytes]:
            async for frames in batches:
                yield b"".join(frame.encode() for frame in frames)

        super().__init__(body(), ping=HEARTBEAT_S, headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the turn's log closes or the caller leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._leave()


def build(settings: EngineSettings) -> FastAPI:
    """The application of one engine process."""
    # Without this every rollout would cut the streams that are running; uvicorn waits for them instead.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    redis = RedisLink(settings.redis_url)
    memory = ShortTermMemory(settings.dialog_engine_db)
    llm, voice = providers.llm(settings), providers.voice(settings)
    service = ChatService(settings, memory, llm, voice, RedisShelf(redis))
    warm = {"state": "warming"}
    probe = Probe("dialog-engine")
    probe.need("warm-up", lambda: None if warm["state"] == "done" else warm["state"])
    probe.need(
        "output-handler",
        lambda: None if any(link.connected for link in service.outputs.links) else "no output-handler is connected",
    )
    probe.detail("redis", lambda: redis.down_because or "ok")

    async def warm_up() -> None:
        await asyncio.gather(llm.warm(), voice.warm())
        # The first synthesis loads dictionaries of both languages; the first prompt waits for nobody.
        async for _ in voice.synthesize("你好，hello.", "zh"):
            continue
        warm["state"] = "done"

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await memory.open()
            stack.push_async_callback(memory.close)
            stack.push_async_callback(llm.aclose)
            stack.push_async_callback(voice.aclose)
            service.start()
            stack.push_async_callback(service.close)
            warming = asyncio.create_task(warm_up())
            try:
                yield
            finally:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)

    app = application.create("dialog-engine", probe, parts)

    @app.post("/chat/stream")
    async def chat_stream(
        request: ChatRequest,
        last_event_id: Annotated[str | None, Header()] = None,
        traceparent: Annotated[str | None, Header()] = None,
    ) -> Response:
        opened = service.open(request, last_event_id, traceparent)
        # Entered before the response begins, so that a refusal is an HTTP error and not a stream.
        return TurnStream(await opened.__aenter__(), lambda: opened.__aexit__(None, None, None))

    return app
