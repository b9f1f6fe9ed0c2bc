"""The whole service: a reply in, its answer out; probes; settings that are wrong."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import TaskResponse, TtsRequest
from dialog_voice import factory
from dialog_voice.errors import ProviderError
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio
from service_runtime.testing.local_server import serving
from tts.__main__ import main
from tts.app import build
from tts.settings import TtsSettings

pytestmark = pytest.mark.usefixtures("quick")

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
UntilReasons = Callable[..., Awaitable[dict[str, Any]]]
Complaint = Callable[[Callable[[], None], str, str], str]


class Voice:
    """Warm when `ready` says so."""

    name = "scripted"

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.fails_warm = False

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        yield VoiceAudio(bytes(100 * BYTES_PER_MS))

    async def warm(self) -> None:
        if self.fails_warm:
            raise ProviderError("scripted", "connection")
        await self.ready.wait()

    async def aclose(self) -> None: ...


@pytest.fixture
async def voice(monkeypatch: pytest.MonkeyPatch) -> Voice:
    made = Voice()
    monkeypatch.setattr(factory, "build_default", lambda _: made)
    return made


@pytest.fixture
def until_reasons(get: Get) -> UntilReasons:
    """Wait until it is not ready for these reasons, or ready without any."""

    async def waited(port: int, *wanted: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                status, state = await get(port, "/readyz")
                if [reason.partition(":")[0] for reason in state["reasons"]] == list(wanted):
                    assert status == (503 if wanted else 200)
                    assert isinstance(state, dict)
                    return state
                await asyncio.sleep(0.01)

    return waited


async def test_a_reply_is_spoken_by_the_running_service_as_soon_as_its_voice_is_warm(
    url: str, redis: "Redis", voice: Voice, get: Get, until_reasons: UntilReasons
) -> None:
    async with serving(build(TtsSettings(redis_url=url))) as port:
        await until_reasons(port, "warm-up")
        voice.ready.set()
        state = await until_reasons(port)
        assert (state["service"], state["details"]["work"]["list"]) == ("tts", "tts_requests")
        request = TtsRequest(
            message_id="live-001#1", task_id="live-001", text="Hello.", response_channel="x"
        )
        await redis.lpush(redis_names.TTS_REQUESTS, request.to_json())
        async with asyncio.timeout(5):
            while not (kept := await redis.hvals(redis_names.responses("live-001"))):
                await asyncio.sleep(0.005)
        answer = TaskResponse.from_json(kept[0])
        assert (answer.text, answer.metadata.audio_ms) == ("Hello.", 100)
        status, text = await get(port, "/metrics")
        assert (status, 'dialog_queue_jobs_total{list="tts_requests",outcome="done"}' in text) == (
            200,
            True,
        )


async def test_a_voice_that_is_away_at_the_start_does_not_keep_replies_waiting(
    url: str, voice: Voice, until_reasons: UntilReasons
) -> None:
    voice.fails_warm = True
    async with serving(build(TtsSettings(redis_url=url))) as port:
        await until_reasons(port)


async def test_without_redis_it_lives_and_says_that_it_is_not_ready(
    no_url: str, voice: Voice, get: Get, until_reasons: UntilReasons
) -> None:
    voice.ready.set()
    async with serving(build(TtsSettings(redis_url=no_url))) as port:
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        await until_reasons(port, "redis")


@pytest.mark.parametrize(
    ("name", "value"),
    [("SYNTHESIS_TIMEOUT_S", "0"), ("VOICE_CHAIN", "no-such-voice"), ("VOICE_CHAIN", ",")],
)
def test_a_wrong_setting_ends_the_process_with_a_sentence(
    complaint: Complaint, name: str, value: str
) -> None:
    assert complaint(main, name, value).startswith(f"tts: {name}: ")
