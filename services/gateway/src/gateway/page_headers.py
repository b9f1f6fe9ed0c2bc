"""Response headers that protect the user's browser."""

from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

FIXED: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
POLICY: Final = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self'{scripts}; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Content-Security-Policy.

`'self'` of connect-src is the page's origin, including its WebSockets.
"""

PAGE_POLICY: Final = (b"content-security-policy", POLICY.format(scripts="").encode())
DOCS_POLICY: Final = (
    b"content-security-policy",
    POLICY.format(scripts=" 'unsafe-inline'").encode(),
)
"""Swagger's page starts with an inline script."""


class PageHeaders:
    """ASGI middleware that adds the headers.

    It also makes the browser revalidate the page's modules.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        fixed = [*FIXED, DOCS_POLICY if path == "/docs" else PAGE_POLICY]
        if path.startswith("/page/"):
            fixed.append((b"cache-control", b"no-cache"))

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *fixed]
            await send(message)

        await self._app(scope, receive, with_headers)
