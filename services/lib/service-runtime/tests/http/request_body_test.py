import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dialog_contracts.http import StopRequest
from service_runtime.http.body_limit import BodySizeLimit
from service_runtime.http.errors import HANDLERS
from service_runtime.http.request_body import read_model


async def stop(request: Request) -> Response:
    return JSONResponse((await read_model(request, StopRequest)).to_wire())


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", stop, methods=["POST"])], exception_handlers=HANDLERS)
    app.add_middleware(BodySizeLimit, max_bytes=200)
    return TestClient(app)


def test_a_body_becomes_a_message(client: TestClient) -> None:
    answer = client.post("/", json={"sessionId": "live-001", "turn": 3})
    assert (answer.status_code, answer.json()["turn"]) == (200, 3)


@pytest.mark.parametrize(
    ("body", "field"), [(b'{"turn": 3}', "sessionId"), (b'{"sessionId": "s", "turn": 0}', "turn")]
)
def test_what_is_wrong_is_refused_by_its_field(client: TestClient, body: bytes, field: str) -> None:
    refused = client.post("/", content=body)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_what_is_no_json_is_refused_too(client: TestClient) -> None:
    assert client.post("/", content=b"{").status_code == 422
