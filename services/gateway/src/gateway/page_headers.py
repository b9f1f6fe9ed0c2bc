"""Headers that keep a browser from being used against its owner."""

from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

FIXED: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
POLICY: Final = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self'{scripts}; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""`'self'` of connect-src is the page's own origin, its WebSockets included."""

PAGE_POLICY: Final = (b"content-security-policy", POLICY.format(scripts="").encode())
DOCS_POLICY: Final = (
    b"content-security-policy",
    POLICY.format(scripts=" 'unsafe-inline'").encode(),
)
"""Swagger's page starts itself by a script inside it."""


class PageHeaders:
    """Adds them, and makes the browser ask whether a module is still current."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
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
