import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from dialog_contracts import limits, openapi
from gateway.app import PAGE, build
from gateway.settings import GatewaySettings
from service_runtime.testing.local_server import serving

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which path it was asked for."""
    if scope["type"] == "http":
        body = json.dumps({"path": scope["raw_path"].decode()}).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def open_gateway() -> Open:
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with serving(echo) as behind:
            url = f"http://127.0.0.1:{behind}"
            app = build(
                GatewaySettings(
                    input_handler_url=url, output_handler_url=url, analytics_url=url, **settings
                )
            )
            async with (
                serving(app) as port,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
            ):
                yield client

    return opened


@pytest.fixture
async def http(open_gateway: Open) -> AsyncIterator[httpx.AsyncClient]:
    async with open_gateway() as client:
        yield client


async def test_the_public_paths_lead_to_the_services(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/chat/stream"),
        ("POST", "/control/stop"),
        ("GET", "/sessions"),
        ("GET", "/sessions/live-001/turns"),
    ):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()) == (200, {"path": path})
    assert (await http.get("/chat/stream")).status_code == 405
    assert (await http.get("/ws/ingest/tts")).status_code == 404


async def test_a_body_over_the_limit_is_413_and_says_the_limit(http: httpx.AsyncClient) -> None:
    assert (
        await http.post("/chat/stream", content=b"x" * limits.MAX_JSON_FRAME_BYTES)
    ).status_code == 200
    answer = await http.post("/chat/stream", content=b"x" * (limits.MAX_JSON_FRAME_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["limit"] == limits.MAX_JSON_FRAME_BYTES


async def test_too_many_requests_are_429_with_the_seconds_to_wait(open_gateway: Open) -> None:
    async with open_gateway(requests_a_second=0.5, requests_at_once=2) as http:
        answers = [await http.post("/control/stop", content=b"{}") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["code"] == "rate_limited"
        assert answers[2].headers["retry-after"] == "2"
        # Reading has a bucket of its own, and the page's fifty files take little of it.
        assert [
            (await http.get(path)).status_code for path in ("/sessions", "/readyz", "/metrics")
        ] == [200, 200, 429]
        assert [(await http.get("/healthz")).status_code for _ in range(9)] == [200] * 9
    async with open_gateway(requests_a_second=0.5, requests_at_once=2) as http:
        assert {(await http.get("/page/main.js")).status_code for _ in range(20)} == {200}


async def test_a_foreign_page_is_403_and_a_listed_one_is_not(open_gateway: Open) -> None:
    async with open_gateway(allowed_origins="https://vtuber.example, https://two.example") as http:
        for origin, status in (
            ("https://evil.example", 403),
            ("null", 403),
            ("https://two.example", 200),
            (None, 200),
        ):
            headers = {} if origin is None else {"origin": origin}
            assert (
                await http.post("/chat/stream", content=b"{}", headers=headers)
            ).status_code == status
            assert (await http.get("/sessions", headers=headers)).status_code == status


async def test_a_listed_page_may_read_the_answers_also_those_that_refuse(
    open_gateway: Open,
) -> None:
    """Before: ALLOWED_ORIGINS opened WebSockets only."""
    origin = {"origin": "https://vtuber.example"}
    async with open_gateway(
        allowed_origins="https://vtuber.example", requests_a_second=0.1, requests_at_once=1
    ) as http:
        asked = {
            **origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,last-event-id",
        }
        preflight = await http.options("/chat/stream", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://vtuber.example"
        answers = [await http.post("/chat/stream", content=b"{}", headers=origin) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == "https://vtuber.example"
        assert (
            "access-control-allow-origin"
            not in (
                await http.post("/chat/stream", headers={"origin": "https://evil.example"})
            ).headers
        )


async def test_a_name_that_is_rebound_to_this_machine_is_refused(open_gateway: Open) -> None:
    async with open_gateway(allowed_hosts="live.example.org") as http:
        for host, status in (
            ("evil.example", 403),
            ("live.example.org", 200),
            ("localhost", 200),
            ("127.0.0.1:1", 200),
        ):
            for method, path in (("GET", "/"), ("GET", "/sessions"), ("POST", "/chat/stream")):
                headers = {"host": host, "origin": f"http://{host}"}
                assert (await http.request(method, path, headers=headers)).status_code == status


async def test_the_name_that_it_listens_on_is_its_own(open_gateway: Open) -> None:
    async with open_gateway(host="studio.lan") as http:
        assert [
            (await http.get("/", headers={"host": name})).status_code
            for name in ("studio.lan:8000", "other.lan")
        ] == [
            200,
            403,
        ]


async def test_a_path_cannot_lead_elsewhere_behind_the_gateway(http: httpx.AsyncClient) -> None:
    for path in ("/sessions/a%3Fb/turns", "/sessions/a%23b/turns", "/sessions/a%25b/turns"):
        assert (await http.get(path)).json()["path"] == path


async def test_docs_need_nothing_from_outside(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!DOCTYPE html>", "").replace("// ", "")
    for asset in (
        "/docs/assets/swagger-ui-bundle.js",
        "/docs/assets/swagger-ui.css",
        "/page/icon.svg",
    ):
        assert asset in page.text
        assert (await http.get(asset)).status_code == 200


async def test_the_document_that_is_served_is_the_contracts_and_every_operation_in_it_is_there(
    http: httpx.AsyncClient,
) -> None:
    """Before: another version, other answers, no events of the stream."""
    served = (await http.get("/openapi.json")).json()
    assert served == openapi.document()
    for path, item in served["paths"].items():
        for method in item:
            assert (await http.request(method, path.replace("{id}", "live-001"))).status_code == 200


async def test_the_page_comes_with_headers_that_protect_its_reader(http: httpx.AsyncClient) -> None:
    for path in ("/", "/page/main.js"):
        answer = await http.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'none'" in policy
        assert "ws:" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
    written = (PAGE / "index.html").read_text(encoding="utf-8")
    assert (await http.get("/")).text == written.replace("{character}", "default")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/docs/assets/%2e%2e/__init__.py",
    ],
)
async def test_no_file_beside_the_page_can_be_read(http: httpx.AsyncClient, path: str) -> None:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({}, "default"),
        ({"character_name": "Miko"}, "Miko"),
        ({"character_name": '"><b>', "persona": "x"}, "&quot;&gt;&lt;b&gt;"),
        ({"persona": "You are somebody else."}, ""),
    ],
)
async def test_the_page_calls_her_by_a_name_that_is_hers(said: dict[str, Any], name: str) -> None:
    app = build(GatewaySettings(**said))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as client:
        assert f'<meta name="character" content="{name}">' in (await client.get("/")).text
