"""uvicorn with settings for real-time speech and with bounded connections."""

import asyncio
import resource
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from dialog_contracts import limits
from service_runtime.http.bounded_http import BoundedHttp
from service_runtime.http.bounded_socket import BoundedSocket
from service_runtime.http.connections import Connections

FILES_WANTED: Final = 65_536
"""Open files: one per connection, and two at the gateway. Many systems start with 1 024."""


def config(
    app: ASGIApp,
    *,
    each_address: bool = False,
    ws: type[asyncio.Protocol] = BoundedSocket,
    ws_max_bytes: int = limits.MAX_JSON_FRAME_BYTES,
    **more: Any,
) -> uvicorn.Config:
    """Return the uvicorn configuration.

    With `each_address` connections are bounded for each client address, for a service that clients
    connect to directly.
    """
    return uvicorn.Config(
        app,
        http=partial(BoundedHttp, waiting=Connections(each_address=each_address)),  # type: ignore[arg-type]  # it is only called
        ws=ws,
        ws_max_size=ws_max_bytes,
        # Compression costs 300 kB per connection and milliseconds per frame, and speech does not
        # compress.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        date_header=False,
        **more,
    )


def allow_many_files() -> None:
    """Raise the limit of open files as far as the system allows without privileges.

    Otherwise new connections fail after a few hundred.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
