"""The whole service: a question in, an answer out; probes; settings that are wrong."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_telemetry import log_lines
from long_term_memory.__main__ import main
from long_term_memory.app import build
from long_term_memory.settings import LtmSettings
from service_runtime.testing.local_server import serving
from vtuber_cli import ports


async def get(port: int, path: str) -> tuple[int, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answer = await client.get(path)
        return answer.status_code, answer.text if path == "/metrics" else answer.json()


async def until_ready(port: int) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            status, state = await get(port, "/readyz")
            if status == 200:
                assert isinstance(state, dict)
                return state
            await asyncio.sleep(0.01)


async def test_a_question_is_answered_by_the_running_service(url: str, redis: "Redis") -> None:
    async with serving(build(LtmSettings(redis_url=url))) as port:
        state = await until_ready(port)
        assert (state["service"], state["details"]["work"]["list"]) == ("long-term-memory", "ltm_requests")
        question = {"request_id": "q", "type": "add", "user_id": "tom", "data": {"content": "likes cats"}}
        await redis.lpush(redis_names.LTM_REQUESTS, json.dumps(question))
        async with asyncio.timeout(5):
            while (raw := await redis.get(redis_names.ltm_response("q"))) is None:
                await asyncio.sleep(0.005)
        assert json.loads(raw)["success"] is True
        ttl = await redis.ttl(redis_names.user_memories("tom"))
        assert 364 * 24 * 3600 < ttl <= 365 * 24 * 3600
        status, text = await get(port, "/metrics")
        assert (status, 'dialog_work_total{list="ltm_requests",outcome="done"}' in text) == (200, True)


async def test_without_redis_it_lives_and_says_that_it_is_not_ready() -> None:
    async with serving(build(LtmSettings(redis_url=f"redis://127.0.0.1:{ports.free()}/0"))) as port:
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        status, state = await get(port, "/readyz")
        assert status == 503
        assert [reason.partition(":")[0] for reason in state["reasons"]] == ["redis"]


def test_a_wrong_setting_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Log lines would go to the stream that this test captures, also after it.
    monkeypatch.setattr(log_lines, "configure", lambda *_: None)
    monkeypatch.setenv("MEMORIES_A_USER", "0")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("long-term-memory: MEMORIES_A_USER: ")
