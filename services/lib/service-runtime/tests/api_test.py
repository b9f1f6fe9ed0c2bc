"""The FastAPI application of a service.

Every request that does not fit is refused with the same body.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import Header

from dialog_contracts.http import ChatRequest
from service_runtime import api
from service_runtime.http import errors
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts

order: list[str] = []


@asynccontextmanager
async def parts() -> AsyncIterator[None]:
    order.append("up")
    yield
    order.append("down")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = api.create("svc", HealthCheck("svc"), parts, hosts=AllowedHosts((), inside=True))

    @app.post("/echo")
    async def echo(message: ChatRequest) -> dict[str, str]:
        return {"content": message.content}

    @app.get("/busy")
    async def busy(limit: int = 5, x_wait: float = Header(2.4)) -> None:
        raise errors.TooMany("5 turns at once is the limit", limit=limit, retry_after_s=x_wait)

    @app.get("/broken")
    async def broken() -> None:
        raise KeyError("secret-value")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://svc") as made:
        yield made


async def test_an_error_names_the_field_and_the_limit(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/echo", json={"sessionId": "a", "content": "x", "meta": {"lang": "?"}}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "meta.lang")
    blank = await client.post("/echo", json={"sessionId": "a", "content": "  "})
    assert blank.json()["message"] == "content: content is blank"
    long = await client.post("/echo", json={"sessionId": "a", "content": "x" * 5000})
    assert (long.json()["field"], long.json()["limit"]) == ("content", 4000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"[" * 50_000,
        b'{"sessionId": "a", "content": "x", "turn": ' + b"9" * 5_000 + b"}",
        b'{"sessionId": "a", "content": "\\ud800"}',
        b'{"sessionId": "a", "content": "x", "turn": NaN}',
    ],
    ids=lambda body: str(body[:24]),
)
async def test_what_is_no_message_is_one_clear_error(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post("/echo", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"
    assert len(answer.json()["message"]) < 200


async def test_a_body_without_a_content_type_is_read_as_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo", content=b'{"sessionId": "a", "content": "x"}')
    assert answer.json() == {"content": "x"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413_whether_declared_or_chunked(
    client: httpx.AsyncClient, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1000

    answer = await client.post("/echo", content=pieces() if chunked else b"x" * 70_000)
    assert answer.status_code == 413
    assert answer.json()["limit"] == 64 * 1024


async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/busy", params={"limit": "many"})
    assert (answer.status_code, answer.json()["field"]) == (422, "limit")


async def test_errors_of_the_service_and_of_the_framework_have_the_same_body(
    client: httpx.AsyncClient,
) -> None:
    busy = await client.get("/busy")
    assert (busy.status_code, busy.headers["retry-after"], busy.json()["limit"]) == (429, "2", 5)
    assert (await client.get("/nothing")).json()["code"] == "not_found"
    assert (await client.delete("/echo")).json()["code"] == "method_not_allowed"
    broken = await client.get("/broken")
    assert broken.status_code == 500
    assert "secret" not in broken.text


async def test_another_host_is_refused_and_probes_answer(client: httpx.AsyncClient) -> None:
    refused = await client.get("/busy", headers={"host": "evil.example"})
    assert refused.status_code in (403, 421)
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert b"dialog_turns" in (await client.get("/metrics")).content


async def test_parts_start_with_the_application_and_end_with_it() -> None:
    app = api.create("svc", HealthCheck("svc"), parts)
    order.clear()
    async with app.router.lifespan_context(app):
        assert order == ["up"]
    assert order == ["up", "down"]
