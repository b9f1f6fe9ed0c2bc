"""Routes of output-handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.websockets import WebSocket

from dialog_contracts.http import StopReply, StopRequest
from output_handler import sockets
from output_handler.hub import Hub
from output_handler.settings import OutputSettings
from service_runtime import application
from service_runtime.probes import Probe


def build(settings: OutputSettings) -> FastAPI:
    """The application of one output-handler process."""
    hub = Hub(settings.linger_s)
    probe = Probe("output-handler")
    # Engines connect to us once we are ready: waiting for them here would be waiting for ourselves.
    probe.detail("engines", lambda: hub.engines)

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        yield
        hub.close()

    app = application.create("output-handler", probe, parts)

    @app.websocket("/ws/ingest/tts")
    async def ingest(socket: WebSocket) -> None:
        await sockets.serve_engine(socket, hub)

    @app.websocket("/ws/output/{session_id}")
    async def output(socket: WebSocket, session_id: str) -> None:
        await sockets.serve_viewer(socket, session_id, hub, settings)

    @app.post("/control/stop", status_code=202)
    async def stop(request: StopRequest) -> StopReply:
        return StopReply(stopped=hub.stop(request.session_id, request.turn, request.reason or "control"))

    return app
