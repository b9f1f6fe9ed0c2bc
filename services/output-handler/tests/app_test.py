import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from output_handler.app import build
from output_handler.settings import OutputSettings
from service_runtime.testing.local_server import serving


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(build(OutputSettings())) as made:
        yield made


@pytest.fixture
async def http(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client


@pytest.fixture
async def viewer(port: int) -> AsyncIterator[ClientConnection]:
    address = f"ws://127.0.0.1:{port}/ws/output/live-001"
    async with connect(address, subprotocols=[Subprotocol("vtuber.v2")], proxy=None) as opened:
        await opened.recv()
        yield opened


@pytest.fixture
async def engine(port: int, viewer: ClientConnection) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/ws/ingest/tts", proxy=None) as opened:
        await opened.recv()
        yield opened


async def start(engine: ClientConnection, viewer: ClientConnection, flags: FlagSet) -> None:
    await engine.send(Start(session_id="live-001", turn=42, epoch=1, flags=flags).to_json())
    assert json.loads(await viewer.recv())["action"] == "START"


async def test_stop_of_a_running_turn_is_taken(
    http: httpx.AsyncClient, engine: ClientConnection, viewer: ClientConnection
) -> None:
    await start(engine, viewer, FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True))
    wrong = await http.post("/control/stop", json={"sessionId": "live-001", "turn": 41})
    assert (wrong.status_code, wrong.json()) == (202, {"ok": True, "stopped": False})
    answer = await http.post(
        "/control/stop", json={"sessionId": "live-001", "turn": 42, "reason": "moderator"}
    )
    assert (answer.status_code, answer.json()) == (202, {"ok": True, "stopped": True})
    told = json.loads(await asyncio.wait_for(engine.recv(), 2))
    assert (told["action"], told["turn"], told["reason"]) == ("STOP", 42, "moderator")
    again = await http.post("/control/stop", json={"sessionId": "live-001"})
    assert again.json() == {"ok": True, "stopped": False}


async def test_stop_of_a_silent_session_stops_nothing(
    http: httpx.AsyncClient, viewer: ClientConnection
) -> None:
    answer = await http.post("/control/stop", json={"sessionId": "live-001"})
    assert (answer.status_code, answer.json()) == (202, {"ok": True, "stopped": False})


async def test_stop_of_an_unknown_session_is_404(http: httpx.AsyncClient) -> None:
    answer = await http.post("/control/stop", json={"sessionId": "live-404"})
    assert answer.status_code == 404
    assert (answer.json()["code"], answer.json()["field"]) == ("unknown_session", "sessionId")


async def test_stop_without_barge_in_is_409(
    http: httpx.AsyncClient, engine: ClientConnection, viewer: ClientConnection
) -> None:
    await start(engine, viewer, FlagSet(SYNC_TTS_STREAMING=True))
    answer = await http.post("/control/stop", json={"sessionId": "live-001"})
    assert (answer.status_code, answer.json()["code"]) == (409, "barge_in_off")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sessionId"),
        ({"sessionId": "a b"}, "sessionId"),
        ({"sessionId": "live-001", "turn": 0}, "turn"),
        ({"sessionId": "live-001", "reason": "r" * 257}, "reason"),
    ],
)
async def test_a_wrong_body_is_422_and_names_the_field(
    http: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await http.post("/control/stop", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_readiness_does_not_wait_for_engines_but_counts_them(
    http: httpx.AsyncClient, engine: ClientConnection
) -> None:
    answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["details"]["engines"] == 1
    assert (await http.get("/docs")).status_code == 404


async def test_a_new_pod_waits_for_its_first_engine_and_for_none_after_that() -> None:
    app = build(OutputSettings(first_engine_timeout_s=30))
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        early = await client.get("/readyz")
        assert (early.status_code, early.json()["reasons"]) == (
            503,
            ["engines: no engine has connected yet"],
        )
        async with connect(f"ws://127.0.0.1:{port}/ws/ingest/tts", proxy=None):
            await becomes(client, 1)
        await becomes(client, 0)
        assert (await client.get("/readyz")).status_code == 200


async def becomes(client: httpx.AsyncClient, engines: int) -> None:
    async with asyncio.timeout(5):
        while (await client.get("/readyz")).json()["details"]["engines"] != engines:
            await asyncio.sleep(0.01)
