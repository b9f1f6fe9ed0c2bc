import asyncio

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisClient
from dialog_telemetry import metrics
from input_handler.microphone.user_speaking import UserSpeakingNotifier


async def test_everybody_who_listens_is_told_in_order(url: str) -> None:
    link, listener = RedisClient(url), Redis.from_url(url, decode_responses=True)
    notice = UserSpeakingNotifier(link)
    heard: list[UserSpeaking] = []
    async with listener.pubsub() as channel:
        await channel.subscribe(redis_names.USER_SPEAKING)
        await channel.get_message(timeout=1)
        told = [number % 2 == 0 for number in range(40)]
        for speaking in told:
            notice.notify("live-001", "mine", speaking=speaking)
        async with asyncio.timeout(5):
            while len(heard) < len(told):
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=0.2)
                heard += [UserSpeaking.from_json(message["data"])] if message is not None else []
    assert heard == [
        UserSpeaking(session_id="live-001", microphone="mine", speaking=speaking)
        for speaking in told
    ]
    await notice.aclose()
    await link.aclose()
    await listener.aclose()


async def test_without_redis_it_is_counted_and_nobody_waits(no_url: str) -> None:
    link = RedisClient(no_url)
    notice = UserSpeakingNotifier(link)
    before = metrics.REDIS_FAILURES.labels(purpose="spoken_to")._value.get()
    notice.notify("live-001", "mine", speaking=True)
    async with asyncio.timeout(2):
        while metrics.REDIS_FAILURES.labels(purpose="spoken_to")._value.get() == before:
            await asyncio.sleep(0.01)
    await notice.aclose()
    await link.aclose()
