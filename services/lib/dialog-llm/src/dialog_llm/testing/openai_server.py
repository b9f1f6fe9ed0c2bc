"""A local server with OpenAI's streaming chat completions.

Run it with `python -m dialog_llm.testing.openai_server --port 8010`. Its behaviour comes from a
script (one `Behaviour` per request, in order), else from the request's model name, else from a
default. A model name is a kind and its parameters:
`mock-ok?first_token_s=0.1&per_word_s=0.02&words=30`, `mock-429?retry_after=1`, `mock-cut?words=3`.
Tests in the same process inspect `requests` afterwards.
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from aiohttp import web

from dialog_providers.testing.vendor_server import VendorServer, cut_off, main

Kind = Literal["ok", "status", "cut", "unfinished", "empty", "stall", "error_event", "garbage"]

_WORDS: Final = (
    "I",
    "am",
    "a",
    "little",
    "mock",
    "and",
    "I",
    "talk",
    "all",
    "day",
    "so",
    "that",
    "somebody",
    "can",
    "listen",
)
_CJK: Final = "我是一个小小的模拟模型整天都在说话只为了让你有声音可以听"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers one request."""

    kind: Kind = "ok"
    """How the response ends.

    - ok: words, finish reason, usage, [DONE]
    - status: an error body
    - cut: the connection is aborted after the words
    - unfinished: the stream ends regularly after the words but without a finish reason
    - empty: a finish reason and no words
    - stall: nothing follows the words
    - error_event: an error inside the stream
    - garbage: a stream that is not JSON
    """

    words: int = 12
    """Number of deltas: one word each, or two Chinese characters if the question has any."""

    text: str = ""
    """Text to send word by word, instead of generated words."""

    first_token_s: float = 0.0
    per_word_s: float = 0.0

    raw: tuple[str | float, ...] = ()
    """Lines of the stream to send instead of everything else.

    Each line is followed by a blank line; a float is a pause in seconds. No end is added.
    """

    status: int = 200
    retry_after: str = ""
    message: str = "mocked failure"
    code: str = ""


@dataclass(slots=True, eq=False)
class Request:
    """One received request; the last three fields are filled in while it is answered."""

    body: dict[str, Any]
    authorization: str
    behaviour: Behaviour
    peer: object
    """The client's address and port: the same for two requests on one connection."""

    deltas: int = 0
    finished: bool = False
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)


class OpenAiServer(VendorServer):
    """The server; its address ends in /v1."""

    def __init__(
        self, script: Iterable[Behaviour] = (), *, default: Behaviour | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.script = deque(script)
        self.received = asyncio.Event()
        """Set once a request has been received."""

        self._default = default or Behaviour()
        self._ids = itertools.count(1)
        routes = [
            web.post("/v1/chat/completions", self._complete),
            web.get("/v1/models", self._models),
        ]
        super().__init__(routes, "http://{host}:{port}/v1")

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "object": "list",
                "data": [{"id": "mock-ok", "object": "model", "created": 0, "owned_by": "us"}],
            }
        )

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        body = await http.json()
        behaviour = (
            self.script.popleft()
            if self.script
            else behaviour_of(str(body.get("model", "")), self._default)
        )
        request = Request(
            body,
            http.headers.get("Authorization", ""),
            behaviour,
            http.transport and http.transport.get_extra_info("peername"),
        )
        self.requests.append(request)
        self.received.set()
        try:
            return await self._answer(http, request)
        except (asyncio.CancelledError, ConnectionError):
            request.disconnected.set()
            raise

    async def _answer(self, http: web.Request, request: Request) -> web.StreamResponse:
        behaviour = request.behaviour
        await asyncio.sleep(behaviour.first_token_s)
        if behaviour.kind == "status":
            error = {
                "error": {
                    "message": behaviour.message,
                    "type": "mock",
                    "param": None,
                    "code": behaviour.code or None,
                }
            }
            headers = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
            return web.json_response(error, status=behaviour.status, headers=headers)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(http)
        if behaviour.kind == "garbage":
            await response.write(b"data: {not json\n\n")
            return response
        if behaviour.raw:
            for line in behaviour.raw:
                if isinstance(line, str):
                    await response.write(f"{line}\n\n".encode())
                else:
                    await asyncio.sleep(line)
            return response
        number = next(self._ids)
        await self._send(response, request, number, {"role": "assistant", "content": ""})
        if behaviour.kind != "empty":
            for delta in _deltas(request):
                if request.deltas:
                    await asyncio.sleep(behaviour.per_word_s)
                await self._send(response, request, number, {"content": delta})
                request.deltas += 1
        return await self._end(http, response, request, number)

    async def _end(
        self, http: web.Request, response: web.StreamResponse, request: Request, number: int
    ) -> web.StreamResponse:
        match request.behaviour.kind:
            case "cut":
                await cut_off(http)
            case "stall":
                await asyncio.Event().wait()
            case "error_event":
                await response.write(
                    b'data: {"error": {"message": "mocked failure in the stream", "code": "server_error"}}\n\n'
                )
            case "ok" | "empty":
                await self._send(response, request, number, {}, finish_reason="stop")
                usage = {
                    "prompt_tokens": 1,
                    "completion_tokens": request.deltas,
                    "total_tokens": request.deltas + 1,
                }
                await self._write(
                    response, {**_frame(request, number), "choices": [], "usage": usage}
                )
                await response.write(b"data: [DONE]\n\n")
                request.finished = True
        return response

    async def _send(
        self,
        response: web.StreamResponse,
        request: Request,
        number: int,
        delta: dict[str, str],
        finish_reason: str | None = None,
    ) -> None:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        await self._write(response, {**_frame(request, number), "choices": choices})

    async def _write(self, response: web.StreamResponse, frame: dict[str, Any]) -> None:
        await response.write(f"data: {json.dumps(frame, ensure_ascii=False)}\n\n".encode())


def behaviour_of(model: str, default: Behaviour) -> Behaviour:
    """Return the behaviour for a model `mock-<kind or status>?<parameters>`, else `default`."""
    name, _, query = model.partition("?")
    if not name.startswith("mock-"):
        return default
    kind = name.removeprefix("mock-")
    changes: dict[str, Any] = (
        {"kind": "status", "status": int(kind)} if kind.isdigit() else {"kind": kind}
    )
    for key, value in parse_qsl(query):
        kept = getattr(default, key)
        changes[key] = value if isinstance(kept, str) else type(kept)(value)
    return replace(default, **changes)


def _frame(request: Request, number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": request.body.get("model", ""),
        "system_fingerprint": None,
    }


def _deltas(request: Request) -> list[str]:
    behaviour = request.behaviour
    if behaviour.text:
        words = behaviour.text.split(" ")
        return [word + " " for word in words[:-1]] + words[-1:]
    messages = request.body.get("messages") or [{}]
    if any("一" <= character <= "鿿" for character in str(messages[-1].get("content", ""))):
        pairs = [_CJK[start : start + 2] for start in range(0, len(_CJK) - 1, 2)]
        return [
            pairs[at % len(pairs)] + ("。" if at % 8 == 7 else "") for at in range(behaviour.words)
        ]
    return [
        _WORDS[at % len(_WORDS)] + (". " if at % 8 == 7 else " ") for at in range(behaviour.words)
    ]


if __name__ == "__main__":
    main(OpenAiServer, "OpenAI's chat completions", 8010)
