"""Counts the bytes of each request's body, declared or chunked, before it is parsed."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialog_contracts import limits
from service_runtime.http import errors


class BodySizeLimit:
    """ASGI middleware: a body over `max_bytes` is answered with 413 and not read further."""

    def __init__(self, app: ASGIApp, max_bytes: int = limits.MAX_JSON_FRAME_BYTES) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = errors.TooLarge(f"the body is longer than {self._max} bytes", limit=self._max)
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max:
                await errors.respond(refusal)(scope, receive, send)
                return
        seen, over, answered = 0, False, False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max:
                    over = True
                    raise refusal
            return message

        async def replaced(message: Message) -> None:
            # Frameworks turn an error while reading the body into their own 400, which would not
            # name the limit.
            nonlocal answered
            if not over:
                await send(message)
            elif not answered:
                answered = True
                await errors.respond(refusal)(scope, receive, send)

        await self._app(scope, counted, replaced)
