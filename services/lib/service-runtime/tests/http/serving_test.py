import asyncio
import resource

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from dialog_contracts import limits
from dialog_telemetry import metrics
from service_runtime.http import bounds
from service_runtime.http.serving import FILES_WANTED, allow_many_files
from service_runtime.testing.local_server import serving

WAIT_S = 20
KEPT = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
UNLIMITED = resource.RLIM_INFINITY


async def who(request: Request) -> Response:
    assert request.client is not None
    return JSONResponse({"client": request.client.host, "scheme": request.url.scheme})


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(str(len(await socket.receive_text())))
    except WebSocketDisconnect:
        return


app = Starlette(routes=[Route("/", who), WebSocketRoute("/ws", echo)])


async def test_a_client_is_the_peer_whatever_its_headers_say() -> None:
    """Which proxies may be believed is each service's to decide."""
    headers = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = await http.get("/", headers=headers)
    assert answer.json() == {"client": "127.0.0.1", "scheme": "http"}


async def test_an_offer_to_compress_is_not_taken() -> None:
    async with (
        serving(app) as port,
        connect(f"ws://127.0.0.1:{port}/ws", compression="deflate", proxy=None) as client,
    ):
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers
        await client.send("hello")
        assert await client.recv() == "5"


@pytest.mark.parametrize("most", [None, 1_000])
async def test_a_message_may_be_as_long_as_the_service_says_and_no_longer(most: int | None) -> None:
    limit = most or limits.MAX_JSON_FRAME_BYTES
    served = serving(app) if most is None else serving(app, ws_max_bytes=most)
    async with served as port, connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as client:
        await client.send("x" * limit)
        assert await client.recv() == str(limit)
        await client.send("x" * (limit + 1))
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009


@pytest.mark.parametrize("each_address", [True, False])
async def test_connections_of_one_address_replace_each_other_only_where_clients_connect(
    monkeypatch: pytest.MonkeyPatch, each_address: bool
) -> None:
    monkeypatch.setattr(bounds, "MAX_IDLE_PER_ADDRESS", 2)
    replaced = metrics.CONNECTIONS_REPLACED.labels(limit="address")
    before = replaced._value.get()
    async with serving(app, each_address=each_address) as port, asyncio.timeout(WAIT_S):
        kept = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(KEPT)
            await reader.readuntil(b"}")
            kept.append((reader, writer))
        if each_address:
            for reader, _ in kept[:2]:
                assert await reader.read() == b"", "the oldest gave way"
        for reader, writer in kept[2 if each_address else 0 :]:
            writer.write(KEPT)
            await reader.readuntil(b"}")
        assert replaced._value.get() - before == (2 if each_address else 0)
        for _, writer in kept:
            writer.close()


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1_024, 1_048_576, FILES_WANTED),
        (1_024, UNLIMITED, FILES_WANTED),
        (1_024, 4_096, 4_096),
        (4_096, 4_096, 4_096),
        (FILES_WANTED * 2, UNLIMITED, FILES_WANTED * 2),
        (UNLIMITED, UNLIMITED, UNLIMITED),
    ],
)
def test_open_files_are_raised_as_far_as_allowed_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int
) -> None:
    now = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))

    def set_to(_: int, wanted: tuple[int, int]) -> None:
        assert wanted[1] == hard, "the system's own limit stays"
        now[:] = wanted

    monkeypatch.setattr(resource, "setrlimit", set_to)
    allow_many_files()
    assert now == [after, hard]
