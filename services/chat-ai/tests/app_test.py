"""The whole service: a turn in, a reply on its way to the voice; flag documents acknowledged; probes; settings that are wrong."""

import asyncio
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from chat_ai.__main__ import main
from chat_ai.app import build
from chat_ai.settings import ChatSettings
from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, TtsRequest, UserInput
from dialog_contracts.session_document import FlagAck
from dialog_telemetry import log_lines
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

FAKE = "e2e.harness.fake_models:brain"


async def readiness(port: int) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answer = await client.get("/readyz")
        return answer.status_code, answer.json()


async def test_a_turn_is_answered_by_the_running_service(url: str, redis: "Redis") -> None:
    settings = ChatSettings(redis_url=url, llm_chain=FAKE, pod_name="chat-ai-0", shutdown_grace_s=1)
    async with serving(build(settings)) as port, asyncio.timeout(8):
        while (await readiness(port))[0] != 200:
            await asyncio.sleep(0.01)
        message = UserInput(task_id="s", content="hello", meta=ChainMeta(turn=1))
        await redis.lpush(redis_names.CHAT_REQUESTS, message.to_json())
        while not (asked := await redis.lrange(redis_names.TTS_REQUESTS, 0, -1)):
            await asyncio.sleep(0.01)
        assert TtsRequest.from_json(str(asked[0])).text.startswith("sure that sounds")
        while (ack := await redis.hget(redis_names.FLAGS_ACKS, "chat-ai-0")) is None:
            await asyncio.sleep(0.01)
        assert FlagAck.from_json(ack).service == "chat-ai"


async def test_without_redis_it_lives_and_says_that_it_is_not_ready() -> None:
    settings = ChatSettings(redis_url=f"redis://127.0.0.1:{ports.free()}/0", shutdown_grace_s=1)
    async with serving(build(settings)) as port:
        status, state = await readiness(port)
        assert (status, [reason.partition(":")[0] for reason in state["reasons"]]) == (503, ["redis"])


def test_a_wrong_setting_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Log lines would go to the stream that this test captures, also after it.
    monkeypatch.setattr(log_lines, "configure", lambda *_: None)
    monkeypatch.setenv("REPLY_WITHIN_S", "0")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("chat-ai: REPLY_WITHIN_S: ")
