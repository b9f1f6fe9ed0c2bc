from collections.abc import AsyncIterator

import httpx
import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_redis.client import RedisClient
from input_handler.api.history import MAX_LISTED_SESSIONS, History
from input_handler.app import build
from input_handler.settings import InputSettings
from service_runtime.http.errors import Unavailable


async def test_sessions_come_with_the_most_recent_first(redis: RedisClient) -> None:
    await redis.client.zadd(
        redis_names.SESSIONS,
        {f"live-{number}": 1000 + number for number in range(MAX_LISTED_SESSIONS + 5)},
    )
    found = (await History(redis).sessions()).sessions
    assert len(found) == MAX_LISTED_SESSIONS
    assert (found[0].session_id, found[0].last_active) == (
        f"live-{MAX_LISTED_SESSIONS + 4}",
        1000 + MAX_LISTED_SESSIONS + 4,
    )
    assert [one.last_active for one in found] == sorted(
        (one.last_active for one in found), reverse=True
    )


async def test_turns_come_oldest_first(redis: RedisClient) -> None:
    records = [
        TurnRecord(turn=number, user="今晚玩什么？", reply="解谜", ts=1000 + number)
        for number in (1, 2)
    ]
    for record in reversed(records):
        await redis.client.zadd(redis_names.history("live-001"), {record.to_json(): record.turn})
    assert (await History(redis).turns("live-001")).turns == records
    assert (await History(redis).turns("live-404")).turns == []


async def test_without_redis_history_says_so(no_redis: RedisClient) -> None:
    with pytest.raises(Unavailable) as error:
        await History(no_redis).sessions()
    assert error.value.body.code == "history_unavailable"
    assert error.value.body.retryable


@pytest.fixture
async def http(no_redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = build(InputSettings(redis_url=no_redis_url))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://input"
    ) as client:
        yield client


@pytest.mark.parametrize("path", ["/sessions", "/sessions/live-001/turns"])
async def test_the_endpoints_answer_503_and_when_to_come_back(
    http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        503,
        "history_unavailable",
        "2",
    )


async def test_an_illegal_session_is_422(http: httpx.AsyncClient) -> None:
    answer = await http.get("/sessions/a b/turns")
    assert (answer.status_code, answer.json()["field"]) == (422, "sessionId")
