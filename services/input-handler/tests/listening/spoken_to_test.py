import asyncio

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.input_socket import SpokenTo
from dialog_telemetry import metrics
from input_handler.listening.spoken_to import SpokenToNotice
from service_runtime.redis_link import RedisLink


async def test_everybody_who_listens_is_told(url: str) -> None:
    link, listener = RedisLink(url), Redis.from_url(url, decode_responses=True)
    notice = SpokenToNotice(link)
    async with listener.pubsub() as channel:
        await channel.subscribe(redis_names.SPOKEN_TO)
        await channel.get_message(timeout=1)
        notice.tell("live-001", speaking=True)
        async with asyncio.timeout(2):
            while (message := await channel.get_message(ignore_subscribe_messages=True, timeout=0.2)) is None:
                continue
    assert SpokenTo.from_json(message["data"]) == SpokenTo(session_id="live-001", speaking=True)
    await notice.aclose()
    await link.aclose()
    await listener.aclose()


async def test_without_redis_it_is_counted_and_nobody_waits(no_url: str) -> None:
    link = RedisLink(no_url)
    notice = SpokenToNotice(link)
    before = metrics.REDIS_FAILURES.labels(purpose="spoken_to")._value.get()
    notice.tell("live-001", speaking=True)
    async with asyncio.timeout(2):
        while metrics.REDIS_FAILURES.labels(purpose="spoken_to")._value.get() == before:
            await asyncio.sleep(0.01)
    await notice.aclose()
    await link.aclose()
