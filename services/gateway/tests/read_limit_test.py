from collections.abc import Callable

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admission import FILE_COST, AdmissionControl
from gateway.client_addresses import ClientAddresses
from gateway.read_limit import ReadLimit
from gateway.settings import GatewaySettings
from service_runtime.http.errors import ServiceError

BURST = 3


@pytest.fixture
def passed() -> list[str]:
    """What came through the limit."""
    return []


@pytest.fixture
def admission() -> AdmissionControl:
    return AdmissionControl(a_second=0.5, at_once=BURST, sockets=2, clock=lambda: 100.0)


@pytest.fixture
def limited(passed: list[str], admission: AdmissionControl) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(f"{scope.get('method', scope['type'])} {scope.get('path', '')}")
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    trusted = GatewaySettings(trusted_proxies="10.0.0.0/8").trusted_proxies
    return ReadLimit(app, admission, ClientAddresses(trusted))


@pytest.fixture
def client(limited: ASGIApp) -> Callable[[str], httpx.AsyncClient]:
    def made(address: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(limited, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url="http://x")

    return made


async def test_reads_above_the_burst_are_429_with_the_seconds_and_go_no_further(
    client: Callable[..., httpx.AsyncClient], passed: list[str]
) -> None:
    async with client() as http:
        answers = [await http.get("/sessions") for _ in range(BURST + 1)]
    assert [answer.status_code for answer in answers] == [200] * BURST + [429]
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json()["code"] == "rate_limited"
    assert len(passed) == BURST


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_every_method_but_that_of_turns_and_stops_counts(
    client: Callable[..., httpx.AsyncClient], method: str
) -> None:
    async with client() as http:
        answers = [await http.request(method, "/x") for _ in range(BURST + 1)]
    assert answers[-1].status_code == 429


@pytest.mark.parametrize("folder", ["/page/", "/docs/assets/"])
async def test_a_file_of_the_page_costs_a_tenth(
    client: Callable[..., httpx.AsyncClient], folder: str
) -> None:
    most = round(BURST / FILE_COST)
    async with client() as http:
        answers = [await http.get(f"{folder}app.js") for _ in range(most + 1)]
    # Tenths of a token add up to a little less, or more, than whole ones.
    assert {answer.status_code for answer in answers[: most - 1]} == {200}
    assert answers[-1].status_code == 429


@pytest.mark.parametrize("path", ["/", "/page", "/pages/x", "/docs", "/x/page/y", "/readyz"])
async def test_what_is_no_file_of_the_page_costs_a_whole_token(
    client: Callable[..., httpx.AsyncClient], path: str
) -> None:
    async with client() as http:
        answers = [await http.get(path) for _ in range(BURST + 1)]
    assert answers[-1].status_code == 429


async def test_the_kubelet_is_answered_by_a_gateway_that_refuses_its_address(
    client: Callable[..., httpx.AsyncClient],
) -> None:
    async with client() as http:
        while (await http.get("/metrics")).status_code == 200:
            pass
        answers = [await http.get("/healthz") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert (await http.get("/healthz/x")).status_code == 429


async def test_turns_and_sockets_are_left_to_their_routes(
    client: Callable[..., httpx.AsyncClient],
    limited: ASGIApp,
    passed: list[str],
    admission: AdmissionControl,
) -> None:
    async with client() as http:
        for _ in range(BURST * 5):
            assert (await http.post("/chat/stream")).status_code == 200

    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError

    await limited({"type": "websocket", "path": "/ws/input"}, receive, send)
    await limited({"type": "lifespan"}, receive, send)
    assert passed[-2:] == ["websocket /ws/input", "lifespan "]
    for _ in range(BURST):
        admission.acquire_request("192.0.2.1")
        admission.acquire_read("192.0.2.1")
    with pytest.raises(ServiceError):
        admission.acquire_read("192.0.2.1")


async def test_clients_behind_a_trusted_proxy_are_counted_apart(
    client: Callable[..., httpx.AsyncClient],
) -> None:
    async def reads(http: httpx.AsyncClient, behind: str) -> list[int]:
        headers = {"x-forwarded-for": behind}
        return [
            (await http.get("/sessions", headers=headers)).status_code for _ in range(BURST + 1)
        ]

    expected = [200] * BURST + [429]
    async with client("10.0.0.1") as proxy, client("192.0.2.9") as other:
        assert await reads(proxy, "198.51.100.1") == expected
        assert await reads(proxy, "198.51.100.2") == expected
        assert await reads(other, "198.51.100.3") == expected
        assert await reads(other, "198.51.100.4") == [429] * (BURST + 1), "anyone can write that"
