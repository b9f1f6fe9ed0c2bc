"""Whatever goes wrong with a voice, a process, Redis or a message, there is one answer, and never without the text that there is."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from dialog_contracts import limits, redis_names
from dialog_contracts.legacy_chain import TaskResponse, TtsError
from dialog_redis.client import RedisUnavailable
from dialog_redis.work_queue.queue import WorkQueue
from dialog_telemetry import metrics
from tts.worker import TtsWorker

if TYPE_CHECKING:
    from conftest import House

Crash = Callable[[WorkQueue], Awaitable[None]]


@pytest.mark.parametrize(
    ("fails_at", "hangs_at", "code", "audio_ms", "told"),
    [
        pytest.param(0, None, "voice_failed", 0, "ALL_PROVIDERS_FAILED", id="voice_failed-0"),
        pytest.param(None, 0, "voice_timeout", 0, "ALL_PROVIDERS_FAILED", id="voice_timeout-0"),
        pytest.param(1, None, "voice_cut", 100, "TTS_SYNTHESIS_FAILED", id="voice_cut-100"),
        pytest.param(None, 1, "voice_timeout", 100, "TTS_SYNTHESIS_FAILED", id="voice_timeout-100"),
    ],
)
async def test_a_voice_that_fails_or_is_slow_costs_sound_and_never_the_text(
    house: "House", fails_at: int | None, hangs_at: int | None, code: str, audio_ms: int, told: str
) -> None:
    counted = metrics.LEGACY_FAILURES.labels(stage="tts", code=code)
    before = counted._value.get()
    house.voice.fails_at, house.voice.hangs_at = fails_at, hangs_at
    house.within_s = 0.1 if hangs_at is not None else 2
    async with house.listening(redis_names.TTS_ERRORS) as heard:
        await house.asked(house.request())
    answer = await house.answer()
    assert (answer.status, answer.text, answer.metadata.code, answer.error) == (
        "success",
        house.REPLY,
        code,
        None,
    )
    assert answer.metadata.audio_ms == audio_ms
    if audio_ms:
        assert (await house.sound(answer))[0] == audio_ms
        assert (answer.metadata.provider, len(answer.mouth)) == ("scripted", 2)
    else:
        assert (answer.audio, answer.audio_file, answer.mouth, answer.metadata.provider) == (
            None,
            None,
            [],
            None,
        )
        assert await house.redis.keys(redis_names.blob("*")) == []
    ((_, data),) = heard
    error = TtsError.model_validate(data)
    assert (error.message_id, error.error.code, (error.error.details or "").partition(":")[0]) == (
        "live-001#3",
        told,
        code,
    )
    (sample,) = await house.samples()
    assert (sample.outcome, sample.first_audio_ms is not None) == ("completed", bool(audio_ms))
    assert counted._value.get() == before + 1


async def test_a_reply_that_nobody_could_speak_is_answered_with_its_text(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> str:
        raise KeyError("a bug")

    monkeypatch.setattr(house.blobs, "put", broken)
    await house.redis.rpush(
        redis_names.session_queue("live-001"), "live-001#3\n{}", "live-001#4\n{}"
    )
    await house.asked(house.request())
    answer = await house.answer()
    assert (answer.status, answer.text, answer.audio, answer.metadata.code) == (
        "success",
        house.REPLY,
        None,
        "given_up",
    )
    assert await house.redis.lrange(redis_names.CHAT_REQUESTS, 0, -1) == ["{}"]
    assert [one.outcome for one in await house.samples()] == ["completed"]
    assert await house.redis.lrange(redis_names.dead_letter(house.LIST), 0, -1) != []


async def test_a_reply_whose_process_dies_is_spoken_by_the_next_and_answered_once(
    house: "House", crash: Crash
) -> None:
    house.voice.hangs_at = 1
    dead = WorkQueue(house.url, house.LIST, "same")
    dead.start(house.speaker.handle, house.speaker.on_exhausted)
    asked = house.request()
    async with house.listening(redis_names.task_response("live-001")) as heard:
        await house.redis.lpush(house.LIST, asked.to_json())
        async with asyncio.timeout(2):
            while len(house.voice.said) < 2:
                await asyncio.sleep(0.005)
        await crash(dead)
        assert await house.answers() == []
        assert await house.samples() == []
        house.voice.hangs_at = None
        again = WorkQueue(house.url, house.LIST, "same")
        again.start(house.speaker.handle, house.speaker.on_exhausted)
        async with asyncio.timeout(2):
            while not await house.answers():
                await asyncio.sleep(0.005)
        await again.aclose()
    assert len(heard) == 1
    assert len(await house.samples()) == 1
    assert (await house.sound(await house.answer()))[0] == house.REPLY_MS


async def test_while_redis_does_not_take_the_sound_the_reply_waits_and_is_not_spoken_again(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    put = house.blobs.put
    refused: list[int] = []

    async def away_at_first(data: bytes) -> str:
        if len(refused) < 3:
            refused.append(len(data))
            raise RedisUnavailable("blob", "TimeoutError")
        return await put(data)

    monkeypatch.setattr(house.blobs, "put", away_at_first)
    await house.asked(house.request())
    assert len(refused) == 3
    assert len(house.voice.said) == 2
    assert (await house.sound(await house.answer()))[0] == house.REPLY_MS


UNREADABLE: list[tuple[str | bytes, list[tuple[str, str]]]] = [
    (b"\xff\xfe", []),
    ("{", []),
    ("[]", []),
    ('{"task_id": "../../etc", "message_id": "m-1", "text": "x", "response_channel": "c"}', []),
    (
        '{"task_id": "live-001", "message_id": "m-1", "text": 5, "response_channel": "c"}',
        [("text", "m-1")],
    ),
    ('{"task_id": "live-001", "message_id": "m-1", "text": "x"}', [("response_channel", "m-1")]),
    (
        json.dumps(
            {
                "task_id": "live-001",
                "message_id": "live-001#3",
                "text": "x" * (limits.MAX_REPLY_CHARS + 1),
                "response_channel": "c",
                "meta": {"turn": 3},
            }
        ),
        [("text", "live-001#3")],
    ),
]


@pytest.mark.parametrize(("raw", "told"), UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read_is_put_aside_told_and_the_rest_goes_on(
    house: "House", raw: str | bytes, told: list[tuple[str, str]]
) -> None:
    await house.asked(
        raw,
        house.request("Hello.").model_copy(update={"task_id": "other", "message_id": "other#1"}),
    )
    assert len(await house.answers("other")) == 1
    assert [
        ((one.error or "").partition(":")[0], one.message_id) for one in await house.answers()
    ] == told
    assert all(
        (one.status, one.metadata.code) == ("error", "invalid") for one in await house.answers()
    )
    async with Redis.from_url(house.url) as bytewise:
        assert await bytewise.lrange(redis_names.dead_letter(house.LIST), 0, -1) == [
            raw if isinstance(raw, bytes) else raw.encode()
        ]


def test_a_message_that_cannot_be_read_and_that_nobody_survived_is_told() -> None:
    (answer, *_) = TtsWorker.on_exhausted('{"task_id": "live-001", "message_id": "m-1", "text": 5}')
    assert TaskResponse.from_json(answer[3]).metadata.code == "given_up"
    assert TtsWorker.on_exhausted("junk") == []
