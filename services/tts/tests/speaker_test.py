"""Replies through the last list of the chain, in a real Valkey, by a scripted voice."""

import asyncio
import io
import json
import time
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from dialog_contracts import limits, redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, TtsError, TtsRequest, UserInput
from dialog_contracts.samples import TurnSample
from dialog_flags.documents import Documents
from dialog_telemetry import metrics
from dialog_voice.errors import ProviderError
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio
from dialog_voice.voices import Voices
from service_runtime.blobs import Blobs
from service_runtime.redis_link import RedisDown
from service_runtime.work_list import Job, WorkList
from tts import speaker as module
from tts import speech
from tts.settings import TtsSettings
from tts.speaker import Speaker

pytestmark = pytest.mark.usefixtures("quick")

Worked = Callable[..., Awaitable[None]]
LIST = redis_names.TTS_REQUESTS
BROKEN = ProviderError("scripted", "connection", "nobody there")
REPLY = "今晚玩解谜。你来吗？"
"""Two passages."""

REPLY_MS = 100 + 160 + 100


class Voice:
    """Every passage takes 100 ms. `fails_at` and `hangs_at` are numbers of passages, from 0."""

    name = "scripted"

    def __init__(self, fails_at: int | None = None, hangs_at: int | None = None) -> None:
        self.fails_at, self.hangs_at = fails_at, hangs_at
        self.said: list[tuple[str, str]] = []
        self.open = 0

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        passage = len({said for said, _ in self.said} | {text}) - 1
        self.said.append((text, lang))
        self.open += 1
        try:
            if self.fails_at is not None and passage >= self.fails_at:
                raise BROKEN
            if passage == self.hangs_at:
                await asyncio.sleep(3600)
            yield VoiceAudio(b"\1\0" * (50 * BYTES_PER_MS), (VisemeCue(0, {"aa": 1.0}), VisemeCue(60, {"sil": 1.0})))
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class House:
    """tts with a voice, and what Redis holds after it."""

    def __init__(self, url: str, redis: "Redis", worked: Worked, blobs: Blobs) -> None:
        self.url, self.redis, self._worked, self.blobs = url, redis, worked, blobs
        self.voice = Voice()
        self.within_s = 2.0

    @property
    def speaker(self) -> Speaker:
        return Speaker(Voices(TtsSettings(), Documents(), self.voice), self.blobs, within_s=self.within_s)

    async def asked(self, *requests: TtsRequest | str | bytes) -> None:
        raws = [one.to_json() if isinstance(one, TtsRequest) else one for one in requests]
        await self._worked(LIST, self.speaker.take, self.speaker.given_up, *raws)
        assert self.voice.open == 0

    async def answers(self, task: str = "live-001") -> list[TaskResponse]:
        return [TaskResponse.from_json(raw) for raw in await self.redis.hvals(redis_names.answers(task))]

    async def answer(self) -> TaskResponse:
        (one,) = await self.answers()
        return one

    async def samples(self) -> list[TurnSample]:
        rows = cast("list[tuple[str, dict[str, str]]]", await self.redis.xrange(redis_names.TURN_SAMPLES))
        return [TurnSample.from_json(row["sample"]) for _, row in rows]

    async def sound(self, answer: TaskResponse) -> tuple[int, bytes]:
        """The answer's file: its length in ms and its samples."""
        assert answer.audio is not None
        data = await self.blobs.get(answer.audio.id)
        assert data is not None
        with wave.open(io.BytesIO(data), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
            return file.getnframes() // 24, file.readframes(file.getnframes())


@pytest.fixture
async def house(url: str, redis: "Redis", worked: Worked, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.02)
    blobs = Blobs(url)
    yield House(url, redis, worked, blobs)
    await blobs.aclose()


@asynccontextmanager
async def listening(redis: "Redis", *channels: str) -> AsyncIterator[list[tuple[str, Any]]]:
    """What is announced inside the block; there when it ends."""
    heard: list[tuple[str, Any]] = []
    async with redis.pubsub() as listener:
        await listener.subscribe(*channels, "end")
        yield heard
        await redis.publish("end", "{}")
        async with asyncio.timeout(2):
            while not heard or heard[-1][0] != "end":
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
                if message is not None:
                    heard.append((message["channel"], json.loads(message["data"])))
        heard.pop()


def request(text: str = REPLY, turn: int | None = 3, *, channel: str = "task_response:live-001", **meta: Any) -> TtsRequest:
    known = ChainMeta(session_id="live-001", turn=turn, **{"reason": "cut", "received_at": time.time() - 1.5, **meta})
    return TtsRequest(
        message_id=f"live-001#{turn}" if turn else "m-1",
        task_id="live-001",
        text=text,
        response_channel=channel,
        user_text="今晚玩什么？",
        meta=known,
    )


async def test_a_turn_is_answered_with_text_one_wav_and_the_mouths_shapes(house: House) -> None:
    asked = request(flags=FlagSet(generation=7))
    async with listening(house.redis, redis_names.task_response("live-001"), redis_names.TTS_ERRORS) as heard:
        await house.asked(asked)
    answer = await house.answer()
    assert (answer.message_id, answer.task_id, answer.status, answer.text, answer.user_text) == (
        "live-001#3",
        "live-001",
        "success",
        REPLY,
        "今晚玩什么？",
    )
    assert answer.audio is not None
    assert (answer.audio.format, answer.audio_file) == ("wav", answer.audio.id)
    length_ms, pcm = await house.sound(answer)
    assert (length_ms, answer.metadata.audio_ms) == (REPLY_MS, REPLY_MS)
    assert pcm == b"\1\0" * 2_400 + bytes(2 * 24 * 160) + b"\1\0" * 2_400
    assert [cue.offset_ms for cue in answer.mouth] == [0, 60, 100, 260, 320]
    assert (answer.metadata.provider, answer.metadata.code, answer.error) == ("scripted", None, None)
    assert 1.4 < (answer.metadata.processing_time or 0) < 10
    assert answer.meta == asked.meta
    assert [(channel, TaskResponse.model_validate(data)) for channel, data in heard] == [("task_response:live-001", answer)]
    assert 0 < await house.redis.ttl(redis_names.answers("live-001")) <= redis_names.ANSWER_TTL_S


async def test_the_language_is_the_turns_own_else_the_one_it_was_asked_in(house: House) -> None:
    await house.asked(request("Okay.", lang="en-GB"))
    await house.asked(request("OK", turn=4))
    assert house.voice.said == [("Okay.", "en-GB"), ("OK", "zh")]


FAILURES = [
    (Voice(fails_at=0), "voice_failed", 0, "ALL_PROVIDERS_FAILED"),
    (Voice(hangs_at=0), "voice_timeout", 0, "ALL_PROVIDERS_FAILED"),
    (Voice(fails_at=1), "voice_cut", 100, "TTS_SYNTHESIS_FAILED"),
    (Voice(hangs_at=1), "voice_timeout", 100, "TTS_SYNTHESIS_FAILED"),
]


@pytest.mark.parametrize(("voice", "code", "audio_ms", "told"), FAILURES, ids=[f"{code}-{ms}" for _, code, ms, _ in FAILURES])
async def test_a_voice_that_fails_or_is_slow_costs_sound_and_never_the_text(
    house: House, voice: Voice, code: str, audio_ms: int, told: str
) -> None:
    counted = metrics.LEGACY_FAILURES.labels(stage="tts", code=code)
    before = counted._value.get()
    house.voice, house.within_s = voice, 0.1 if voice.hangs_at is not None else 2
    async with listening(house.redis, redis_names.TTS_ERRORS) as heard:
        await house.asked(request())
    answer = await house.answer()
    assert (answer.status, answer.text, answer.metadata.code, answer.error) == ("success", REPLY, code, None)
    assert answer.metadata.audio_ms == audio_ms
    if audio_ms:
        assert (await house.sound(answer))[0] == audio_ms
        assert (answer.metadata.provider, len(answer.mouth)) == ("scripted", 2)
    else:
        assert (answer.audio, answer.audio_file, answer.mouth, answer.metadata.provider) == (None, None, [], None)
        assert await house.redis.keys(redis_names.blob("*")) == []
    ((_, data),) = heard
    error = TtsError.model_validate(data)
    assert (error.message_id, error.error.code, (error.error.details or "").partition(":")[0]) == ("live-001#3", told, code)
    (sample,) = await house.samples()
    assert (sample.outcome, sample.first_audio_ms is not None) == ("completed", bool(audio_ms))
    assert counted._value.get() == before + 1


async def test_a_reply_too_long_for_a_file_keeps_its_beginning_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "SOUND_MS_MAX", 150)
    await house.asked(request())
    answer = await house.answer()
    assert (answer.text, answer.metadata.code, (await house.sound(answer))[0]) == (REPLY, "voice_too_long", 100)


async def test_a_text_without_words_is_answered_without_sound_and_nothing_is_wrong_with_that(house: House) -> None:
    async with listening(house.redis, redis_names.TTS_ERRORS) as heard:
        await house.asked(request("……"))
    answer = await house.answer()
    assert (answer.status, answer.text, answer.audio, answer.metadata.code) == ("success", "……", None, None)
    assert heard == []


async def test_a_turn_of_the_chain_leaves_one_sample_with_its_times(house: House) -> None:
    await house.asked(request(flags=FlagSet(generation=7), traceparent=f"00-{'a' * 32}-{'b' * 16}-01"))
    (sample,) = await house.samples()
    assert (sample.session_id, sample.turn, sample.path, sample.outcome, sample.reason) == (
        "live-001",
        3,
        "legacy",
        "completed",
        "cut",
    )
    assert (sample.flags.generation, sample.traceparent) == (7, f"00-{'a' * 32}-{'b' * 16}-01")
    assert sample.ttft_ms is not None
    assert sample.ttft_ms == sample.first_audio_ms == sample.total_ms
    assert 1_400 < sample.ttft_ms < 10_000


async def test_a_turn_of_the_chain_without_a_reason_counts_where_the_main_path_was_off(house: House) -> None:
    await house.asked(request(reason=None, flags=FlagSet(ENABLE_SYNC_CORE=False)))
    assert [one.turn for one in await house.samples()] == [3]


async def test_the_voice_of_a_turn_of_the_main_path_is_no_turn_of_the_chain(house: House) -> None:
    """The engine has left its sample already, and its turns are in no backlog."""
    backlog = redis_names.backlog("live-001")
    await house.redis.rpush(backlog, "live-001#4\n{}")
    turns = metrics.TURNS.labels(path="legacy", outcome="completed")
    before = turns._value.get()
    await house.asked(request(reason=None, flags=FlagSet()), request(turn=None, reason=None))
    assert len(await house.answers()) == 2
    assert await house.samples() == []
    assert turns._value.get() == before
    assert await house.redis.lrange(backlog, 0, -1) == ["live-001#4\n{}"]
    assert await house.redis.exists(redis_names.CHAT_REQUESTS) == 0


async def test_with_the_answer_the_sessions_next_turn_goes_into_the_chain(house: House) -> None:
    following = UserInput(task_id="live-001", content="and you?", meta=ChainMeta(session_id="live-001", turn=4))
    backlog = redis_names.backlog("live-001")
    await house.redis.rpush(backlog, "live-001#3\n{}", f"live-001#4\n{following.to_json()}")
    await house.asked(request())
    assert await house.redis.lrange(redis_names.CHAT_REQUESTS, 0, -1) == [following.to_json()]
    await house.asked(request())
    assert await house.redis.llen(redis_names.CHAT_REQUESTS) == 1, "an answer that comes twice moves nothing"


async def test_a_second_answer_to_a_message_changes_nothing_and_is_not_announced(house: House) -> None:
    await house.asked(request())
    first = await house.answer()
    async with listening(house.redis, redis_names.task_response("live-001")) as heard:
        await house.asked(request("something else entirely"))
    assert await house.answers() == [first]
    assert heard == []
    assert (await house.sound(first))[0] == REPLY_MS, "its sound is still there"


async def test_who_asked_for_the_answer_elsewhere_hears_it_there_too_but_on_no_channel_of_ours(house: House) -> None:
    channels = ("task_response:elsewhere", redis_names.FLAGS_CHANGED)
    async with listening(house.redis, *channels) as heard:
        await house.asked(request(channel="task_response:elsewhere"))
        await house.asked(request(turn=4, channel=redis_names.FLAGS_CHANGED))
    assert [(channel, data["message_id"]) for channel, data in heard] == [("task_response:elsewhere", "live-001#3")]
    assert len(await house.answers()) == 2


async def test_a_reply_that_nobody_could_speak_is_answered_with_its_text(house: House) -> None:
    class Buggy(Voice):
        async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
            raise KeyError("a bug")
            yield VoiceAudio(b"")

    house.voice = Buggy()
    await house.redis.rpush(redis_names.backlog("live-001"), "live-001#3\n{}", "live-001#4\n{}")
    await house.asked(request())
    answer = await house.answer()
    assert (answer.status, answer.text, answer.audio, answer.metadata.code) == ("success", REPLY, None, "given_up")
    assert await house.redis.lrange(redis_names.CHAT_REQUESTS, 0, -1) == ["{}"]
    assert [one.outcome for one in await house.samples()] == ["completed"]
    assert await house.redis.lrange(redis_names.dead(LIST), 0, -1) != []


async def test_a_reply_whose_process_dies_is_spoken_by_the_next_and_answered_once(house: House) -> None:
    house.voice = Voice(hangs_at=1)
    dead = WorkList(house.url, LIST, "same")
    dead.start(house.speaker.take, house.speaker.given_up)
    asked = request()
    async with listening(house.redis, redis_names.task_response("live-001")) as heard:
        await house.redis.lpush(LIST, asked.to_json())
        async with asyncio.timeout(2):
            while len(house.voice.said) < 2:
                await asyncio.sleep(0.005)
        await dead._feeding.close()
        await dead._working.close()
        await dead._redis.aclose()
        assert await house.answers() == []
        assert await house.samples() == []
        house.voice = Voice()
        again = WorkList(house.url, LIST, "same")
        again.start(house.speaker.take, house.speaker.given_up)
        async with asyncio.timeout(2):
            while not await house.answers():
                await asyncio.sleep(0.005)
        await again.aclose()
    assert len(heard) == 1
    assert len(await house.samples()) == 1
    assert (await house.sound(await house.answer()))[0] == REPLY_MS


async def test_while_redis_does_not_take_the_sound_the_reply_waits_and_is_not_spoken_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = house.blobs.put
    refused: list[int] = []

    async def away_at_first(data: bytes) -> str:
        if len(refused) < 3:
            refused.append(len(data))
            raise RedisDown("blob", "TimeoutError")
        return await put(data)

    monkeypatch.setattr(house.blobs, "put", away_at_first)
    await house.asked(request())
    assert len(refused) == 3
    assert len(house.voice.said) == 2
    assert (await house.sound(await house.answer()))[0] == REPLY_MS


async def test_of_a_reply_that_somebody_else_answered_nothing_is_counted(house: House) -> None:
    turns = metrics.TURNS.labels(path="legacy", outcome="completed")
    before = turns._value.get()

    async def taken_away(*_: object) -> bool:
        return False

    await house.speaker.take(Job(request().to_json(), 0, LIST, taken_away))
    assert turns._value.get() == before


UNREADABLE: list[tuple[str | bytes, list[tuple[str, str]]]] = [
    (b"\xff\xfe", []),
    ("{", []),
    ("[]", []),
    ('{"task_id": "../../etc", "message_id": "m-1", "text": "x", "response_channel": "c"}', []),
    ('{"task_id": "live-001", "message_id": "m-1", "text": 5, "response_channel": "c"}', [("text", "m-1")]),
    ('{"task_id": "live-001", "message_id": "m-1", "text": "x"}', [("response_channel", "m-1")]),
    (
        json.dumps(
            {
                "task_id": "live-001",
                "message_id": "live-001#3",
                "text": "x" * (limits.REPLY_CHARS + 1),
                "response_channel": "c",
                "meta": {"turn": 3},
            }
        ),
        [("text", "live-001#3")],
    ),
]


@pytest.mark.parametrize(("raw", "told"), UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read_is_put_aside_told_and_the_rest_goes_on(
    house: House, raw: str | bytes, told: list[tuple[str, str]]
) -> None:
    await house.asked(raw, request("Hello.").model_copy(update={"task_id": "other", "message_id": "other#1"}))
    assert len(await house.answers("other")) == 1
    assert [((one.error or "").partition(":")[0], one.message_id) for one in await house.answers()] == told
    assert all((one.status, one.metadata.code) == ("error", "invalid") for one in await house.answers())
    async with Redis.from_url(house.url) as bytewise:
        assert await bytewise.lrange(redis_names.dead(LIST), 0, -1) == [raw if isinstance(raw, bytes) else raw.encode()]


async def test_a_message_that_cannot_be_read_and_that_nobody_survived_is_told(house: House) -> None:
    (answer, *_) = Speaker.given_up('{"task_id": "live-001", "message_id": "m-1", "text": 5}')
    assert TaskResponse.from_json(answer[3]).metadata.code == "given_up"
    assert Speaker.given_up("junk") == []
