from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from service_runtime.http.body_limit import BodySizeLimit
from service_runtime.http.errors import HANDLERS


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", length, methods=["POST"])], exception_handlers=HANDLERS)
    app.add_middleware(BodySizeLimit, max_bytes=100)
    return TestClient(app)


def pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


def test_a_body_up_to_the_limit_passes_declared_or_in_pieces(client: TestClient) -> None:
    assert client.post("/", content=b"x" * 100).text == "100"
    assert client.post("/", content=pieces(10)).text == "100"


def test_one_byte_more_is_refused_with_the_limit_declared_or_in_pieces(client: TestClient) -> None:
    for body in (b"x" * 101, pieces(11)):
        refused = client.post("/", content=body)
        assert (refused.status_code, refused.json()["limit"]) == (413, 100)
