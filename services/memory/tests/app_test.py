"""The whole service: a message in, a request to chat-ai out; probes; settings that are wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from memory.__main__ import main
from memory.app import build
from memory.settings import MemorySettings
from service_runtime.testing.local_server import serving

pytestmark = pytest.mark.usefixtures("quick")

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
Ready = Callable[[int], Awaitable[dict[str, Any]]]
Complaint = Callable[[Callable[[], None], str, str], str]


async def test_a_message_is_filed_by_the_running_service(
    url: str, redis: "Redis", get: Get, until_ready: Ready
) -> None:
    async with serving(
        build(MemorySettings(redis_url=url, context_messages=1, context_ttl_s=60))
    ) as port:
        state = await until_ready(port)
        assert (state["service"], state["details"]["work"]["list"]) == (
            "memory",
            "user_input_queue",
        )
        for content in ("a", "b"):
            message = UserInput(task_id="live-001", user_id="tom", content=content)
            await redis.lpush(redis_names.USER_INPUT_QUEUE, message.to_json())
        async with asyncio.timeout(5):
            while await redis.llen(redis_names.session_queue("live-001")) < 2:
                await asyncio.sleep(0.005)
        (raw,) = await redis.lrange(redis_names.CHAT_REQUESTS, 0, -1)
        assert UserInput.from_json(raw).content == "a"
        assert await redis.llen(redis_names.viewer_context("tom")) == 1
        assert await redis.ttl(redis_names.viewer_context("tom")) <= 60
        status, text = await get(port, "/metrics")
        assert (
            status,
            'dialog_queue_jobs_total{list="user_input_queue",outcome="done"}' in text,
        ) == (
            200,
            True,
        )


async def test_without_redis_it_lives_and_says_that_it_is_not_ready(no_url: str, get: Get) -> None:
    async with serving(build(MemorySettings(redis_url=no_url))) as port:
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        status, state = await get(port, "/readyz")
        assert status == 503
        assert [reason.partition(":")[0] for reason in state["reasons"]] == ["redis"]


def test_a_wrong_setting_ends_the_process_with_a_sentence(complaint: Complaint) -> None:
    assert complaint(main, "CONTEXT_MESSAGES", "0").startswith("memory: CONTEXT_MESSAGES: ")
