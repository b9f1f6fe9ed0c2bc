"""The whole service: a question in, an answer out; probes; settings that are wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from long_term_memory.__main__ import main
from long_term_memory.app import build
from long_term_memory.settings import LtmSettings
from service_runtime.testing.local_server import serving

pytestmark = pytest.mark.usefixtures("quick")

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
Ready = Callable[[int], Awaitable[dict[str, Any]]]
Complaint = Callable[[Callable[[], None], str, str], str]


async def test_a_question_is_answered_by_the_running_service(
    url: str, redis: "Redis", get: Get, until_ready: Ready
) -> None:
    async with serving(build(LtmSettings(redis_url=url))) as port:
        state = await until_ready(port)
        assert (state["service"], state["details"]["work"]["list"]) == (
            "long-term-memory",
            "ltm_requests",
        )
        question = {
            "request_id": "q",
            "type": "add",
            "user_id": "tom",
            "data": {"content": "likes cats"},
        }
        await redis.lpush(redis_names.LTM_REQUESTS, json.dumps(question))
        async with asyncio.timeout(5):
            while (raw := await redis.get(redis_names.ltm_response("q"))) is None:
                await asyncio.sleep(0.005)
        assert json.loads(raw)["success"] is True
        ttl = await redis.ttl(redis_names.user_memories("tom"))
        assert 364 * 24 * 3600 < ttl <= 365 * 24 * 3600
        status, text = await get(port, "/metrics")
        assert (status, 'dialog_queue_jobs_total{list="ltm_requests",outcome="done"}' in text) == (
            200,
            True,
        )


async def test_without_redis_it_lives_and_says_that_it_is_not_ready(no_url: str, get: Get) -> None:
    async with serving(build(LtmSettings(redis_url=no_url))) as port:
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        status, state = await get(port, "/readyz")
        assert status == 503
        assert [reason.partition(":")[0] for reason in state["reasons"]] == ["redis"]


def test_a_wrong_setting_ends_the_process_with_a_sentence(complaint: Complaint) -> None:
    assert complaint(main, "MAX_MEMORIES_PER_USER", "0").startswith(
        "long-term-memory: MAX_MEMORIES_PER_USER: "
    )
