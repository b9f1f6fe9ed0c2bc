"""Limits reads per client address: history, probes and the page's files."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admission import AdmissionControl
from gateway.client_addresses import ClientAddresses
from gateway.errors import RateLimited
from service_runtime.http.errors import respond

FREE: Final = "/healthz"
"""Path that is not limited: the kubelet ends a pod that does not answer it."""

FILES: Final = ("/page/", "/docs/assets/")


class ReadLimit:
    """ASGI middleware for reads. Turns, STOPs and sockets are counted in their routes."""

    def __init__(self, app: ASGIApp, admission: AdmissionControl, clients: ClientAddresses) -> None:
        self._app, self._admission, self._clients = app, admission, clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] != "POST" and scope["path"] != FREE:
            try:
                self._admission.acquire_read(
                    self._clients.address_of(scope), file=scope["path"].startswith(FILES)
                )
            except RateLimited as error:
                await respond(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
