"""The whole service: a message in, a request to chat-ai out; probes; settings that are wrong."""

import asyncio
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_telemetry import log_lines
from memory.__main__ import main
from memory.app import build
from memory.settings import MemorySettings
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


async def test_a_message_is_filed_by_the_running_service(url: str, redis: "Redis") -> None:
    async with serving(build(MemorySettings(redis_url=url, context_messages=1, context_ttl_s=60))) as port:
        state = await until_ready(port)
        assert (state["service"], state["details"]["work"]["list"]) == ("memory", "user_input_queue")
        for content in ("a", "b"):
            message = UserInput(task_id="live-001", user_id="tom", content=content)
            await redis.lpush(redis_names.USER_INPUT_QUEUE, message.to_json())
        async with asyncio.timeout(5):
            while await redis.llen(redis_names.backlog("live-001")) < 2:
                await asyncio.sleep(0.005)
        (raw,) = await redis.lrange(redis_names.CHAT_REQUESTS, 0, -1)
        assert UserInput.from_json(raw).content == "a"
        assert await redis.llen(redis_names.viewer_context("tom")) == 1
        assert await redis.ttl(redis_names.viewer_context("tom")) <= 60
        status, text = await get(port, "/metrics")
        assert (status, 'dialog_work_total{list="user_input_queue",outcome="done"}' in text) == (200, True)


async def test_without_redis_it_lives_and_says_that_it_is_not_ready() -> None:
    async with serving(build(MemorySettings(redis_url=f"redis://127.0.0.1:{ports.free()}/0"))) as port:
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        status, state = await get(port, "/readyz")
        assert status == 503
        assert [reason.partition(":")[0] for reason in state["reasons"]] == ["redis"]


def test_a_wrong_setting_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Log lines would go to the stream that this test captures, also after it.
    monkeypatch.setattr(log_lines, "configure", lambda *_: None)
    monkeypatch.setenv("CONTEXT_MESSAGES", "0")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("memory: CONTEXT_MESSAGES: ")
