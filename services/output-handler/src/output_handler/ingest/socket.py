"""The socket of engines, `/ws/ingest/tts`.

Three tasks serve one engine: a writer, a reader, and a watch that notices when the engine falls
silent. A machine that is cut off from the network closes no socket, so viewers learn of it from
the missing heartbeats alone. The first task that ends ends the others.
"""

import asyncio

import structlog
from starlette.websockets import WebSocket

from dialog_telemetry import metrics
from output_handler.hub import Hub
from output_handler.ingest.connection import CHECK_INTERVAL_S, EngineConnection
from service_runtime.http.websocket_tasks import run_until_first_ends

log = structlog.get_logger("ingest")


async def serve_engine(socket: WebSocket, hub: Hub) -> None:
    """One engine, until its socket ends."""
    await socket.accept()
    link = EngineConnection(socket)
    hub.engine_joined(link)
    try:
        await run_until_first_ends(
            link.write(), _read_engine(socket, hub, link), _watch_engine(hub, link)
        )
    finally:
        hub.engine_left(link)


async def _read_engine(socket: WebSocket, hub: Hub, link: EngineConnection) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is None:
            metrics.REQUESTS_REJECTED.labels(code="bad_ingest_frame").inc()
            continue
        link.touch()
        hub.on_engine_frame(link, text)
        # An engine sends a burst ahead of the ear; the viewers' writers must not wait for its end.
        await asyncio.sleep(0)


async def _watch_engine(hub: Hub, link: EngineConnection) -> None:
    """A machine that is cut off closes no socket: viewers learn of it from the silence."""
    silent, clock = False, asyncio.get_running_loop().time
    while True:
        began = clock()
        await asyncio.sleep(CHECK_INTERVAL_S)
        if (late := clock() - began - CHECK_INTERVAL_S) > CHECK_INTERVAL_S:
            link.extend_deadline(late)
        if link.timed_out and not silent:
            log.warning("engine_timed_out", sessions=len(hub.engine_timed_out(link)))
        elif silent and not link.timed_out:
            log.info("engine_recovered", sessions=len(hub.engine_recovered(link)))
        silent = link.timed_out
