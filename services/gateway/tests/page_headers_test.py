import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.page_headers import PageHeaders


async def text(_: Request) -> Response:
    return PlainTextResponse("x")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route(path, text) for path in ("/", "/docs", "/page/main.js")])
    app.add_middleware(PageHeaders)
    return TestClient(app)


def test_the_page_runs_scripts_of_its_own_origin_only(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "cache-control" not in headers


def test_only_the_api_documentation_may_run_a_script_inside_it(client: TestClient) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-inline'" in policy


def test_a_browser_asks_whether_a_module_is_still_current(client: TestClient) -> None:
    assert client.get("/page/main.js").headers["cache-control"] == "no-cache"
