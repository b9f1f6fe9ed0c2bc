"""The whole service: a turn in, a reply on its way to the voice; flag documents acknowledged.

Probes; settings that are wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from chat_ai.__main__ import main
from chat_ai.app import build
from chat_ai.settings import ChatSettings
from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, TtsRequest, UserInput
from dialog_contracts.session_document import FlagAck
from service_runtime.testing.local_server import serving

pytestmark = pytest.mark.usefixtures("quick")

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
Ready = Callable[[int], Awaitable[dict[str, Any]]]
Complaint = Callable[[Callable[[], None], str, str], str]

FAKE = "e2e.harness.fake_models:brain"


async def test_a_turn_is_answered_by_the_running_service(
    url: str, redis: "Redis", until_ready: Ready
) -> None:
    settings = ChatSettings(redis_url=url, llm_chain=FAKE, pod_name="chat-ai-0", shutdown_grace_s=1)
    async with serving(build(settings)) as port, asyncio.timeout(8):
        await until_ready(port)
        message = UserInput(task_id="s", content="hello", meta=ChainMeta(turn=1))
        await redis.lpush(redis_names.CHAT_REQUESTS, message.to_json())
        while not (asked := await redis.lrange(redis_names.TTS_REQUESTS, 0, -1)):
            await asyncio.sleep(0.01)
        assert TtsRequest.from_json(str(asked[0])).text.startswith("sure that sounds")
        while (ack := await redis.hget(redis_names.FLAGS_ACKS, "chat-ai-0")) is None:
            await asyncio.sleep(0.01)
        assert FlagAck.from_json(ack).service == "chat-ai"


async def test_without_redis_it_lives_and_says_that_it_is_not_ready(no_url: str, get: Get) -> None:
    settings = ChatSettings(redis_url=no_url, shutdown_grace_s=1)
    async with serving(build(settings)) as port:
        status, state = await get(port, "/readyz")
        assert (status, [reason.partition(":")[0] for reason in state["reasons"]]) == (
            503,
            ["redis"],
        )


def test_a_wrong_setting_ends_the_process_with_a_sentence(complaint: Complaint) -> None:
    assert complaint(main, "GENERATION_TIMEOUT_S", "0").startswith(
        "chat-ai: GENERATION_TIMEOUT_S: "
    )
