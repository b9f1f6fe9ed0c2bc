"""Routes of the gateway: the page, the public API, and the two sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from html import escape
from importlib import resources
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi import Path as PathParam
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from dialog_contracts import openapi
from dialog_contracts.backup import UPLOAD_PATH
from dialog_flags.flag_documents import FlagDocuments
from dialog_redis.flag_subscriber import FlagSubscriber
from gateway.admin_access import AdminAccess
from gateway.admission import AdmissionControl
from gateway.client_addresses import ClientAddresses
from gateway.errors import RateLimited
from gateway.http_proxy import HttpProxy
from gateway.page_headers import PageHeaders
from gateway.read_limit import ReadLimit
from gateway.settings import GatewaySettings
from gateway.socket_proxy import SocketProxy
from service_runtime import api
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts, HostGuard, denied

PAGE: Final = Path(str(resources.files("gateway") / "page"))
# Swagger UI's own files, because /docs must work without the internet; only the files of the
# package are used.
SWAGGER: Final = Path(str(resources.files("fastapi_swagger") / "resources"))
TURN_RESPONSE_TIMEOUT_S: Final = 150.0
"""Longer than input-handler needs for the head of its response.

It may wait two minutes for a single engine that is being replaced.
"""

UploadPath = Annotated[str, PathParam(pattern=UPLOAD_PATH)]
STOP_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 5.0
COPY_TIMEOUT_S: Final = 150.0
"""Seconds to the head of a backup: a service copies its whole database before it."""


def build(settings: GatewaySettings) -> FastAPI:
    """Return the application of one gateway process."""
    input_http = HttpProxy(settings.input_handler_url, head_within_s=TURN_RESPONSE_TIMEOUT_S)
    output_http = HttpProxy(settings.output_handler_url, head_within_s=STOP_TIMEOUT_S)
    analytics_http = HttpProxy(settings.analytics_url, head_within_s=READ_TIMEOUT_S)
    input_sockets, output_sockets = (
        SocketProxy(settings.input_handler_url),
        SocketProxy(settings.output_handler_url),
    )
    admission = AdmissionControl(
        a_second=settings.rate_limit_per_second,
        at_once=settings.rate_limit_burst,
        sockets=settings.max_connections_per_client,
    )
    clients = ClientAddresses(settings.trusted_proxies)
    admins = AdminAccess(settings.admin_token)
    watch = FlagSubscriber(FlagDocuments(), "gateway", settings)
    probe = HealthCheck("gateway")
    probe.info("flags", watch.state)

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            watch.start()
            stack.push_async_callback(watch.aclose)
            for proxy in (input_http, output_http, analytics_http):
                await proxy.open()
                stack.push_async_callback(proxy.aclose)
            warming = asyncio.gather(input_http.ready(), output_http.ready())
            stack.callback(warming.cancel)
            yield

    page = (
        (PAGE / "index.html")
        .read_text(encoding="utf-8")
        .replace("{character}", escape(settings.character))
    )
    app = api.create("AI VTuber", probe, parts)
    # The middleware that is added last runs first.
    app.add_middleware(ReadLimit, admission=admission, clients=clients)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["content-type", "last-event-id", "traceparent"],
        expose_headers=["retry-after"],
        max_age=600,
    )
    # A name in HOST is also a name under which clients reach the gateway.
    hosts = AllowedHosts((*settings.allowed_hosts, settings.host), settings.allowed_origins)
    app.add_middleware(HostGuard, hosts=hosts)
    app.add_middleware(PageHeaders)

    def admit(request: Request) -> str:
        client = clients.address_of(request.scope)
        admission.acquire_request(client)
        return client

    @app.post("/chat/stream")
    async def chat_stream(request: Request) -> Response:
        client = admit(request)
        return input_http.forward(
            "POST", "/chat/stream", request.headers, await request.body(), client=client
        )

    @app.post("/control/stop")
    async def control_stop(request: Request) -> Response:
        admit(request)
        return output_http.forward("POST", "/control/stop", request.headers, await request.body())

    @app.get("/sessions")
    async def sessions(request: Request) -> Response:
        return input_http.forward("GET", "/sessions", request.headers, head_within_s=READ_TIMEOUT_S)

    @app.get("/sessions/{session_id}/turns")
    async def turns(request: Request, session_id: str) -> Response:
        # The id may contain any character that a client can encode in a path, and the next service
        # decodes it again.
        path = f"/sessions/{quote(session_id, safe='')}/turns"
        return input_http.forward("GET", path, request.headers, head_within_s=READ_TIMEOUT_S)

    @app.get("/analytics")
    async def analytics(request: Request) -> Response:
        query = request.url.query
        path = f"/analytics?{query}" if query else "/analytics"
        return analytics_http.forward("GET", path, request.headers, head_within_s=READ_TIMEOUT_S)

    @app.get("/events/backlog")
    async def events_backlog(request: Request) -> Response:
        return input_http.forward(
            "GET", "/events/backlog", request.headers, head_within_s=READ_TIMEOUT_S
        )

    @app.get("/backup/engines")
    async def backup_engines(request: Request) -> Response:
        admins.require(request)
        return input_http.forward(
            "GET", "/backup/engines", request.headers, head_within_s=READ_TIMEOUT_S
        )

    @app.get("/backup/engines/{ordinal}")
    async def backup_engine(request: Request, ordinal: int) -> Response:
        admins.require(request)
        path = f"/backup/engines/{ordinal}"
        return input_http.forward("GET", path, request.headers, head_within_s=COPY_TIMEOUT_S)

    @app.post("/backup/engines/{ordinal}/{rest:path}")
    async def restore_engine(request: Request, ordinal: int, rest: UploadPath) -> Response:
        admins.require(request)
        path = f"/backup/engines/{ordinal}/{rest}"
        return input_http.forward(
            "POST", path, request.headers, await request.body(), head_within_s=COPY_TIMEOUT_S
        )

    @app.get("/backup/analytics")
    async def backup_analytics(request: Request) -> Response:
        admins.require(request)
        return analytics_http.forward(
            "GET", "/backup", request.headers, head_within_s=COPY_TIMEOUT_S
        )

    @app.post("/backup/analytics/{rest:path}")
    async def restore_analytics(request: Request, rest: UploadPath) -> Response:
        admins.require(request)
        return analytics_http.forward(
            "POST",
            f"/backup/{rest}",
            request.headers,
            await request.body(),
            head_within_s=COPY_TIMEOUT_S,
        )

    @app.get("/events/dead")
    async def events_dead(request: Request) -> Response:
        admins.require(request)
        return input_http.forward(
            "GET", "/events/dead", request.headers, head_within_s=READ_TIMEOUT_S
        )

    @app.post("/events/replay")
    async def events_replay(request: Request) -> Response:
        admins.require(request)
        admit(request)
        return input_http.forward(
            "POST",
            "/events/replay",
            request.headers,
            await request.body(),
            head_within_s=READ_TIMEOUT_S,
        )

    async def proxy_socket(socket: WebSocket, proxy: SocketProxy, path: str) -> None:
        client = clients.address_of(socket.scope)
        try:
            admission.open_socket(client)
        except RateLimited as error:
            await denied(error, socket.scope, socket.receive, socket.send)
            return
        flooded = False
        try:
            flooded = await proxy.forward(socket, path, client)
        finally:
            admission.socket_closed(client, flooded=flooded)

    @app.websocket("/ws/input")
    async def ws_input(socket: WebSocket) -> None:
        query = socket.scope["query_string"].decode("latin-1")
        await proxy_socket(socket, input_sockets, "/ws/input" + (f"?{query}" if query else ""))

    @app.websocket("/ws/output/{session_id}")
    async def ws_output(socket: WebSocket, session_id: str) -> None:
        await proxy_socket(
            socket, output_sockets, socket.scope["raw_path"].decode("latin-1").partition("?")[0]
        )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="AI VTuber: API",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/page/icon.svg",
        )

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    # The contract's own document, of which a copy is in the repository: the served and the
    # published API are the same.
    app.openapi = openapi.document  # type: ignore[method-assign]  # FastAPI's documented way to give a document of one's own
    app.mount("/docs/assets", StaticFiles(directory=SWAGGER))
    app.mount("/page", StaticFiles(directory=PAGE))
    return app
