"""A real uvicorn server on a free port, with the socket settings of `service_runtime.server`."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from dialog_contracts import limits
from service_runtime.http import serving as bounded
from service_runtime.http import tcp_options
from service_runtime.http.bounded_socket import BoundedSocket

ENDS_WITHIN_S: Final = 1.0


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    ws_max_bytes: int = limits.MAX_JSON_FRAME_BYTES,
    ws: type[asyncio.Protocol] = BoundedSocket,
    each_address: bool = False,
    port: int = 0,
) -> AsyncIterator[int]:
    """Serve the application inside the block and yield its port.

    No signal handlers are installed, so Ctrl-C still ends the tests.
    """
    config = bounded.config(app, each_address=each_address, ws=ws, ws_max_bytes=ws_max_bytes)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", port))
    tcp_options.limit_send_buffer(listener)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await _end(server)
        listener.close()


async def _end(server: uvicorn.Server) -> None:
    # uvicorn's own shutdown sleeps in steps of 0.1 s, which adds up in a suite of many servers.
    for accepting in server.servers:
        accepting.close()
    state, loop = server.server_state, asyncio.get_running_loop()
    for connection in list(state.connections):
        connection.shutdown()
    deadline = loop.time() + ENDS_WITHIN_S
    while (state.connections or state.tasks) and loop.time() < deadline:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.002)
    for task in state.tasks:
        task.cancel()
    await server.lifespan.shutdown()
