"""A real uvicorn server on a free port of this machine, with the sockets' settings of `service_runtime.server`."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from dialog_contracts import limits


@asynccontextmanager
async def serving(app: ASGIApp, *, ws_max_bytes: int = limits.JSON_FRAME_BYTES) -> AsyncIterator[int]:
    """Serve the application inside the block; gives its port. No signal handlers, so Ctrl-C still ends the tests."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="websockets-sansio",
        ws_max_size=ws_max_bytes,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await server.shutdown(sockets=[listener])
