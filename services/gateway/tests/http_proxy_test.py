import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.errors import UpstreamUnavailable
from gateway.http_proxy import HttpProxy
from service_runtime.http.errors import respond
from service_runtime.testing.foreign_server import foreign_first
from service_runtime.testing.local_server import serving
from vtuber_cli import ports


@dataclass
class Upstream:
    """Sends one piece at once and the rest when told to; knows whether its caller left."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    breaks: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        self.headers, self.body = dict(request.headers), await request.body()
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"retry-after", b"7"),
            (b"set-cookie", b"internal=1"),
        ]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        telling, leaving = (
            asyncio.create_task(self.go_on.wait()),
            asyncio.create_task(self._until_left(receive)),
        )
        await asyncio.wait([telling, leaving], return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, leaving):
            task.cancel()
        if not self.breaks:
            await send({"type": "http.response.body", "body": b"second"})

    async def _until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self.left.set()


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@asynccontextmanager
async def gateway_to(url: str, head_within_s: float = 30) -> AsyncIterator[httpx.AsyncClient]:
    proxy = HttpProxy(url, head_within_s=head_within_s)
    await proxy.open()

    async def forward(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = proxy.forward(
            "POST", request.url.path, dict(request.headers), await request.body()
        )
        try:
            await response(scope, receive, send)
        except UpstreamUnavailable as away:
            await respond(away)(scope, receive, send)

    try:
        async with (
            serving(forward) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            yield client
    finally:
        await proxy.aclose()


@pytest.fixture
async def http(upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(upstream) as port, gateway_to(f"http://127.0.0.1:{port}/") as client:
        yield client


async def test_the_first_bytes_arrive_while_the_service_is_still_speaking(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    async with http.stream("POST", "/chat/stream", content=b"{}") as answer:
        pieces = answer.aiter_raw()
        assert await asyncio.wait_for(anext(pieces), 2) == b"first"
        assert not upstream.go_on.is_set()
        upstream.go_on.set()
        assert await asyncio.wait_for(anext(pieces), 2) == b"second"


async def test_body_and_named_headers_pass_and_nothing_else(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    upstream.go_on.set()
    sent = {
        "content-type": "application/json",
        "last-event-id": "42.7",
        "traceparent": "00-x",
        "cookie": "a=b",
        "authorization": "Bearer x",
        "origin": "http://a",
    }
    answer = await http.post("/chat/stream", content=b'{"a": 1}', headers=sent)
    assert (answer.status_code, answer.content) == (201, b"firstsecond")
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == (
        "text/event-stream",
        "7",
    )
    assert "set-cookie" not in answer.headers
    assert upstream.body == b'{"a": 1}'
    assert {
        name: upstream.headers[name] for name in ("content-type", "last-event-id", "traceparent")
    } == {
        "content-type": "application/json",
        "last-event-id": "42.7",
        "traceparent": "00-x",
    }
    assert not {"cookie", "authorization", "origin"} & set(upstream.headers)


@pytest.mark.parametrize("said", ["application/x-www-form-urlencoded", "text/plain", None])
async def test_what_a_caller_calls_its_json_does_not_matter(
    upstream: Upstream, http: httpx.AsyncClient, said: str | None
) -> None:
    """As `curl -d` does it."""
    upstream.go_on.set()
    headers = {} if said is None else {"content-type": said}
    await http.post("/chat/stream", content=b"{}", headers=headers)
    assert upstream.headers["content-type"] == "application/json"


async def test_a_caller_that_leaves_closes_the_call_behind_at_once(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    async with http.stream("POST", "/chat/stream", content=b"{}") as answer:
        await anext(answer.aiter_raw())
    await asyncio.wait_for(upstream.left.wait(), 1)


@asynccontextmanager
async def hanging() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A service that takes calls and answers none.

    The event says that the caller's connection is closed.
    """
    closed = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", closed
    server.close()


async def test_a_caller_that_leaves_before_the_answer_has_begun_closes_the_call_behind_too() -> (
    None
):
    async with hanging() as (url, closed), gateway_to(url) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/stream", content=b"{}", timeout=0.2)
        await asyncio.wait_for(closed.wait(), 2)


async def test_a_service_that_takes_the_call_and_gives_no_answer_is_away() -> None:
    async with hanging() as (url, closed), gateway_to(url, head_within_s=0.2) as client:
        answer = await client.post("/chat/stream", content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_away")
        await asyncio.wait_for(closed.wait(), 2)


async def test_a_stream_that_breaks_behind_does_not_end_as_if_it_were_whole(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    upstream.breaks = True
    async with http.stream("POST", "/chat/stream", content=b"{}") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        upstream.go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(anext(pieces), 2)


async def test_a_service_that_is_away_is_503_service_away() -> None:
    async with gateway_to(f"http://127.0.0.1:{ports.free()}") as client:
        answer = await client.post("/chat/stream", content=b"{}")
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (
            503,
            "service_away",
            True,
        )
        assert answer.headers["retry-after"] == "1"


async def test_a_stranger_in_a_services_place_is_a_service_that_is_away_until_it_is_there() -> None:
    async with (
        foreign_first(1, b'{"sessions": []}') as address,
        gateway_to(address.url) as client,
    ):
        away = await client.post("/sessions", content=b"{}")
        assert (away.status_code, away.json()["code"]) == (503, "service_away")
        there = await client.post("/sessions", content=b"{}")
        assert (there.status_code, there.json()) == (200, {"sessions": []})


async def test_readiness_of_a_service_is_asked_for_and_its_absence_is_no_error(
    upstream: Upstream,
) -> None:
    upstream.go_on.set()
    async with serving(upstream) as port:
        proxy = HttpProxy(f"http://127.0.0.1:{port}", head_within_s=30)
        await proxy.open()
        assert not await proxy.ready()  # 201 is not 200
        await proxy.aclose()
    away = HttpProxy(f"http://127.0.0.1:{ports.free()}", head_within_s=30)
    await away.open()
    assert not await away.ready()
    await away.aclose()
