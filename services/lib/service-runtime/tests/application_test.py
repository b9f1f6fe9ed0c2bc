from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service_runtime import application
from service_runtime.http import errors
from service_runtime.http.health import HealthCheck

order: list[str] = []


@asynccontextmanager
async def parts() -> AsyncIterator[None]:
    order.append("up")
    yield
    order.append("down")


@pytest.fixture
def probe() -> HealthCheck:
    return HealthCheck("svc", unsupported=lambda: {"ENABLE_LTM": "not built"})


@pytest.fixture
async def client(probe: HealthCheck) -> AsyncIterator[httpx.AsyncClient]:
    async def busy(_: Request) -> Response:
        raise errors.TooMany("5 turns at once is the limit", limit=5, retry_after_s=2.4)

    async def broken(_: Request) -> Response:
        raise KeyError("secret-value")

    routes = [
        Route("/busy", busy),
        Route("/broken", broken),
    ]
    app = application.create(probe, parts, routes)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://svc") as made:
        yield made


async def test_busy_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/busy")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["limit"]) == (
        429,
        "2",
        5,
    )


async def test_an_error_on_our_side_tells_nothing_of_the_inside(client: httpx.AsyncClient) -> None:
    answer = await client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_readiness_gives_reasons_and_unsupported_flags(
    client: httpx.AsyncClient, probe: HealthCheck
) -> None:
    state: dict[str, str | None] = {"why": "warming"}
    probe.require("voice", lambda: state["why"])
    probe.info("redis", lambda: "down")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["voice: warming"]
    assert answer.json()["unsupported"] == {"ENABLE_LTM": "not built"}
    state["why"] = None
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert b"dialog_turns" in (await client.get("/metrics")).content


async def test_parts_start_with_the_application_and_end_with_it(probe: HealthCheck) -> None:
    app = application.create(probe, parts, [])
    order.clear()
    async with app.router.lifespan_context(app):
        assert order == ["up"]
    assert order == ["up", "down"]
