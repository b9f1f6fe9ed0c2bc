"""Two output-handlers over a real Redis: a STOP and a speaking user reach both."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.ingest import Stop
from dialog_contracts.input_socket import UserSpeaking
from dialog_telemetry import metrics
from output_handler.broadcast import SessionBroadcast

STOP = Stop(session_id="live-001", turn=3, reason="viewer")
SPEAKING = UserSpeaking(session_id="live-001", microphone="m", speaking=True)


class Handler:
    def __init__(self, url: str) -> None:
        self.got: list[Stop | UserSpeaking] = []
        self.broadcast = SessionBroadcast(url)
        self.broadcast.start(self.got.append, self.got.append)


@pytest.fixture
async def pair(url: str) -> AsyncIterator[tuple[Handler, Handler]]:
    made = Handler(url), Handler(url)
    async with Redis.from_url(url) as redis:
        async with asyncio.timeout(10):
            while dict(await redis.pubsub_numsub(redis_names.PLAYBACK_STOPS)) != {
                redis_names.PLAYBACK_STOPS.encode(): 2
            }:
                await asyncio.sleep(0.01)
    yield made
    for one in made:
        await one.broadcast.aclose()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.01)


async def test_a_stop_reaches_every_output_handler(pair: tuple[Handler, Handler]) -> None:
    pair[0].broadcast.publish_stop(STOP)
    await until(lambda: all(one.got == [STOP] for one in pair))


async def test_a_speaking_user_reaches_every_output_handler(
    pair: tuple[Handler, Handler], url: str
) -> None:
    async with Redis.from_url(url) as redis:
        await redis.publish(redis_names.USER_SPEAKING, SPEAKING.to_json())
    await until(lambda: all(one.got == [SPEAKING] for one in pair))


async def test_junk_on_a_channel_is_counted_and_ends_nothing(
    pair: tuple[Handler, Handler], url: str
) -> None:
    rejected = metrics.REQUESTS_REJECTED.labels(code="bad_notice")
    before = rejected._value.get()
    async with Redis.from_url(url) as redis:
        await redis.publish(redis_names.PLAYBACK_STOPS, "junk")
    pair[1].broadcast.publish_stop(STOP)
    await until(lambda: all(one.got == [STOP] for one in pair))
    assert rejected._value.get() == before + 2


async def test_without_redis_a_stop_is_counted_and_nothing_waits() -> None:
    failures = metrics.REDIS_FAILURES.labels(purpose="file_stops")
    before = failures._value.get()
    alone = Handler("redis://127.0.0.1:9")
    alone.broadcast.publish_stop(STOP)
    await until(lambda: bool(failures._value.get() > before))
    assert alone.got == []
    await alone.broadcast.aclose()
