"""Runs a service's application in uvicorn, with settings for real-time speech."""

import asyncio
import gc
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final, TypeVar

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from dialog_contracts import limits
from dialog_telemetry import log_config
from service_runtime.http import serving, tcp_options
from service_runtime.http.bounded_socket import BoundedSocket
from service_runtime.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
WRONG_SETTINGS: Final = 2
NOT_STARTED: Final = 3


def serve(
    service: str,
    settings_type: type[S],
    build: Callable[[S], Starlette],
    *,
    ws_max_bytes: int = limits.MAX_JSON_FRAME_BYTES,
    ws: type[asyncio.Protocol] = BoundedSocket,
    each_address: bool = False,
) -> None:
    """Read the settings, configure telemetry, build the application and serve it until a signal.

    SIGTERM and SIGINT end it. `ws` is uvicorn's WebSocket protocol class. With `each_address`
    clients connect to this service directly and are distinguished by their addresses. Invalid
    settings end the process with status 2 and one sentence each on stderr; a server that did not
    start, with status 3.
    """
    try:
        settings = settings_type()
        log_config.configure(service, settings.log_level)
        app = build(settings)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper() or "settings"
            sys.stderr.write(f"{service}: {name}: {problem['msg'].removeprefix('Value error, ')}\n")
        sys.exit(WRONG_SETTINGS)
    except ValueError as error:
        # Settings that are valid by themselves but not together: flags, names of providers.
        sys.stderr.write(f"{service}: {error}\n")
        sys.exit(WRONG_SETTINGS)
    # Objects of the start-up live as long as the process; the collector need not traverse them in
    # the middle of a turn.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    # A worker thread (SQLite) that holds the GIL delays the event loop by this interval: 1 ms
    # instead of the default 5.
    sys.setswitchinterval(0.001)
    structlog.get_logger("server").info("listening", host=settings.host, port=settings.port)
    serving.allow_many_files()
    config = serving.config(
        app,
        each_address=each_address,
        ws=ws,
        ws_max_bytes=ws_max_bytes,
        host=settings.host,
        port=settings.port,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = _Server(config, getattr(app.state, "leave", None))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(NOT_STARTED)


class _Server(uvicorn.Server):
    """Tells the application at once that the process is asked to end.

    The lifespan ends only when the last request is finished.
    """

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._leave = leave
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                tcp_options.limit_send_buffer(listening)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._leave is not None and self._loop is not None:
            # A signal handler runs between any two bytecodes, so the call is scheduled on the loop.
            self._loop.call_soon_threadsafe(self._leave)
