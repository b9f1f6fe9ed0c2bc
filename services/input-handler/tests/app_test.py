import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from dialog_contracts.sse import SseParser
from input_handler.app import build
from input_handler.settings import InputSettings
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    HANG,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from service_runtime.testing.local_server import serving

BODY = {"sessionId": "live-001", "content": "今晚玩什么？", "meta": {"requestId": "r-1"}}


@pytest.fixture
async def http(engine_url: str, no_redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    settings = InputSettings(
        dialog_engine_url=engine_url, redis_url=no_redis_url, engine_accept_timeout_s=10
    )
    async with (
        serving(build(settings)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


async def test_a_turn_streams_as_server_sent_events(
    engine: ScriptedEngine, http: httpx.AsyncClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])]
    answer = await http.post("/chat/stream", json=BODY)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    frames = list(SseParser().feed(answer.content))
    assert [(frame.id, frame.event) for frame in frames] == [
        ("1.0", "control"),
        ("1.1", "text-delta"),
        ("1.2", "done"),
    ]


async def test_the_first_event_does_not_wait_for_the_second(
    engine: ScriptedEngine, http: httpx.AsyncClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    async with http.stream("POST", "/chat/stream", json=BODY) as answer:
        async for data in answer.aiter_bytes():
            assert b"ACCEPTED" in data
            break
    await asyncio.wait_for(engine.left.wait(), 1)


async def test_a_refusal_of_the_engine_keeps_status_and_body(
    engine: ScriptedEngine, http: httpx.AsyncClient
) -> None:
    engine.answers = [refusal(409, "turn_taken", next_turn=43)]
    answer = await http.post("/chat/stream", json={**BODY, "turn": 42})
    assert (answer.status_code, answer.json()["code"], answer.json()["nextTurn"]) == (
        409,
        "turn_taken",
        43,
    )


async def test_a_failed_engine_is_503_and_retryable(
    engine: ScriptedEngine, http: httpx.AsyncClient
) -> None:
    engine.answers = [refusal(500, "internal")]
    answer = await http.post("/chat/stream", json=BODY)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        503,
        "legacy_unavailable",
        "1",
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**BODY, "content": " "}, "content"),
        ({**BODY, "sessionId": "a/b"}, "sessionId"),
        ({**BODY, "turn": 0}, "turn"),
    ],
)
async def test_a_wrong_request_is_422_and_never_reaches_the_engine(
    engine: ScriptedEngine, http: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await http.post("/chat/stream", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert engine.requests == []


async def test_readiness_names_what_this_version_cannot_do(
    engine_url: str, no_redis_url: str
) -> None:
    environment = {"enable_ltm": True, "enable_streams_outbox": True}
    for legacy in (True, False):
        settings = InputSettings.model_validate(
            {
                "dialog_engine_url": engine_url,
                "redis_url": no_redis_url,
                "legacy_enabled": legacy,
                **environment,
            }
        )
        async with (
            serving(build(settings)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            answer = await client.get("/readyz")
        assert answer.status_code == 200
        lacking = {"ENABLE_LTM"} | (set() if legacy else {"SYNC_TTS_STREAMING"})
        assert set(answer.json()["unsupported"]) == lacking
        details = answer.json()["details"]
        assert details["flags"]["environment"]["ENABLE_SYNC_CORE"] is True
        assert (details["circuit"], details["legacy"]) == (
            {"only": "closed"},
            "on" if legacy else "off",
        )
