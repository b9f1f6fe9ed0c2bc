from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialog_contracts.backup import BACKUP_TYPE
from input_handler.api.backup import backup_routes
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import EnginePool
from service_runtime.http import errors
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

UPLOAD = "0f" * 16


async def engine(request: Request) -> Response:
    if request.method == "GET" and request.url.path == "/backup":
        return Response(b"copy" * 1_000, media_type=BACKUP_TYPE)
    return JSONResponse({"path": request.url.path, "body": (await request.body()).decode()})


def guard(client: EngineClient, name: str) -> EngineGuard:
    return EngineGuard(client, name=name, accept_timeout_s=1, first_token_timeout_s=1)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Two engines: the second does not answer."""
    app = Starlette(routes=[Route("/{path:path}", engine, methods=["GET", "POST"])])
    async with serving(app) as port:
        urls = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ports.free()}"]
        pool = EnginePool(urls, None, EngineClient, guard)
        await pool.open()
        own = FastAPI(exception_handlers=dict(errors.HANDLERS))
        own.include_router(backup_routes(pool))
        transport = httpx.ASGITransport(own)
        async with httpx.AsyncClient(transport=transport, base_url="http://input") as made:
            yield made
        await pool.aclose()


async def test_requests_go_to_the_engine_that_they_name(client: httpx.AsyncClient) -> None:
    answer = await client.get("/backup/engines/0")
    assert answer.content == b"copy" * 1_000
    assert answer.headers["content-type"] == BACKUP_TYPE
    sent = await client.post(f"/backup/engines/0/uploads/{UPLOAD}/restore", content="body")
    assert sent.json() == {"path": f"/backup/uploads/{UPLOAD}/restore", "body": "body"}


async def test_engines_that_do_not_answer_are_named(client: httpx.AsyncClient) -> None:
    assert (await client.get("/backup/engines/1")).status_code == 503
    assert (await client.get("/backup/engines/2")).json()["code"] == "unknown_engine"
    found = (await client.get("/backup/engines")).json()
    assert found == {"engines": [0], "unreachable": ["engine 1"]}


@pytest.mark.parametrize(
    "path", ["uploads/../../chat/stream", "uploads/x", "chat/stream", "uploads/%2e%2e/x"]
)
async def test_no_other_path_is_passed_on(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(f"/backup/engines/0/{path}")
    assert answer.status_code in (404, 405, 422)
