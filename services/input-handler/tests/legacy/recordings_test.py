"""Recordings on their way out, transcripts on their way in, by a real Valkey.

One file of more than 400 lines: both directions share the queue, the budget and the scripted engine
that the fixtures here set up.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnType
from dialog_contracts.legacy_chain import AsrResult, AsrTask, ChainMeta, TaskResponse
from dialog_flags.flags import FixedFlags
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from dialog_redis.recording_budget import RecordingBudget
from dialog_redis.work_queue import commands, queue, store
from dialog_redis.work_queue.queue import WorkQueue
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.legacy import recordings as module
from input_handler.legacy.client import LegacyClient
from input_handler.legacy.recordings import RecordingQueue
from input_handler.legacy.upload_assembler import Recording
from input_handler.testing.legacy_pipeline import plenty
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    HANG,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from input_handler.turns.background_turn import BackgroundTurns
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService
from service_runtime.http.errors import TooMany, Unavailable

FINALS = redis_names.ASR_FINALS
DEAD = redis_names.dead_letter(FINALS)
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
RECORDING = Recording(b"OggS and so on", "ogg")
WHOLE = ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BLOCK_S", 0.02)
    monkeypatch.setattr(queue, "RENEW_INTERVAL_S", 0.05)
    monkeypatch.setattr(queue, "RETRY_PAUSE_S", 0.02)


class House:
    """An input-handler's part in recordings. `replica` gives another process of it."""

    def __init__(
        self,
        url: str,
        redis: RedisClient,
        client: EngineClient,
        answers: LegacyResponses,
        blobs: BlobStore,
    ) -> None:
        self._url, self._redis, self._client, self._answers = url, redis, client, answers
        self.blobs = blobs
        self.works: list[WorkQueue] = []

    def replica(
        self, consumer: str = "one", *, legacy: bool = True, flags: FlagSet | None = None
    ) -> RecordingQueue:
        sync = EngineGuard(
            self._client, accept_timeout_s=10, first_token_timeout_s=60, circuit_failures=100
        )
        path = LegacyClient(self._redis, self._answers, enabled=legacy, timeout_s=5)
        caller = TurnService(
            sync,
            path,
            TurnNumberAllocator(self._redis),
            FixedFlags(flags or FlagSet()),
            plenty(),
        )
        self.works.append(
            WorkQueue(self._url, FINALS, consumer, attempts_max=1, close_within_s=0.2)
        )
        return RecordingQueue(
            self._redis, self.blobs, BackgroundTurns(caller, path), self.works[-1]
        )

    async def crash(self) -> None:
        """The first replica ends without a word: its processing list stays."""
        await self.works[0]._feeding.close()
        await self.works[0]._working.close()
        await self.works[0]._store.aclose()

    async def heard(self, *results: AsrResult | str | bytes, **options: FlagSet | bool) -> None:
        """These transcripts, oldest first, worked on to the end."""
        transcripts = self.replica(**options)  # type: ignore[arg-type]
        await self._redis.client.lpush(
            FINALS, *(one.to_json() if isinstance(one, AsrResult) else one for one in results)
        )
        transcripts.start()
        async with asyncio.timeout(5):
            while await self._redis.client.exists(FINALS, redis_names.processing(FINALS, "one")):
                await asyncio.sleep(0.005)
        await transcripts.aclose()

    async def told(self, task: str = "live-001") -> list[tuple[str, str | None]]:
        kept = [
            TaskResponse.from_json(raw)
            for raw in await self._redis.client.hvals(redis_names.responses(task))
        ]
        return [(one.message_id, one.metadata.code) for one in kept if one.status == "error"]


@pytest.fixture
async def house(redis: RedisClient, valkey_url: str, engine_url: str) -> AsyncIterator[House]:
    answers, blobs, client = (
        LegacyResponses(valkey_url),
        BlobStore(valkey_url),
        EngineClient(engine_url),
    )
    answers.start()
    await client.open()
    yield House(valkey_url, redis, client, answers, blobs)
    await client.aclose()
    await blobs.aclose()
    await answers.aclose()


def transcript(text: str = "今晚玩什么？", request_id: str = "upload-1", **more: str) -> AsrResult:
    meta = ChainMeta(session_id="live-001", request_id=request_id, lang="en", traceparent=TRACE)
    return AsrResult.model_validate(
        {"task_id": "live-001", "status": "finished", "text": text, "meta": meta, **more}
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_recording_and_its_task_are_in_redis_before_the_call_returns(
    house: House, redis: RedisClient
) -> None:
    await house.replica().send(
        "live-001", RECORDING, request_id="upload-1", lang="en", traceparent=TRACE
    )
    (raw,) = await redis.client.lrange(redis_names.ASR_TASKS, 0, -1)
    task = AsrTask.from_json(raw)
    assert (task.task_id, task.audio.format, task.options.lang) == ("live-001", "ogg", "en")
    assert (task.meta.session_id, task.meta.request_id, task.meta.lang, task.meta.traceparent) == (
        "live-001",
        "upload-1",
        "en",
        TRACE,
    )
    assert await house.blobs.get(task.audio.id) == RECORDING.data
    assert "path" not in json.loads(raw)["audio"]


async def test_recordings_are_transcribed_in_the_order_they_came(
    house: House, redis: RedisClient
) -> None:
    transcripts = house.replica()
    for number in range(3):
        await transcripts.send(
            "live-001", RECORDING, request_id=f"upload-{number}", lang=None, traceparent=None
        )
    taken = [
        AsrTask.from_json(str(await redis.client.rpop(redis_names.ASR_TASKS))).meta.request_id
        for _ in range(3)
    ]
    assert taken == ["upload-0", "upload-1", "upload-2"]


async def test_one_recording_more_than_may_wait_is_refused_and_not_kept(
    house: House, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_RECORDINGS", 2)
    transcripts = house.replica()
    for number in range(2):
        await transcripts.send(
            "live-001", RECORDING, request_id=f"upload-{number}", lang=None, traceparent=None
        )
    kept = await redis.client.dbsize()
    with pytest.raises(TooMany, match="2 recordings wait already") as refused:
        await transcripts.send(
            "live-001", RECORDING, request_id="upload-2", lang=None, traceparent=None
        )
    assert (refused.value.status, refused.value.body.code, refused.value.body.retryable) == (
        429,
        "asr_busy",
        True,
    )
    assert await redis.client.dbsize() == kept


async def test_recordings_of_a_client_take_only_so_many_bytes_those_in_work_included(
    house: House, redis: RedisClient
) -> None:
    """Before: 50 recordings, 771 MB in Redis."""
    transcripts = house.replica()
    transcripts._budget = RecordingBudget(redis, in_all=5_000, a_client=3_000)
    big = Recording(b"OggS" + bytes(996), "ogg")

    async def send(client: str, number: int) -> None:
        await transcripts.send(
            client, big, request_id=f"{client}-{number}", lang=None, traceparent=None, client=client
        )

    for number in range(3):
        await send("one", number)
    with pytest.raises(
        TooMany,
        match="recordings of this client that are waiting or being heard have at most 3000 bytes",
    ) as refused:
        await send("one", 3)
    assert (refused.value.body.code, refused.value.body.limit, refused.value.retry_after_s) == (
        "asr_busy",
        3000,
        10,
    )
    # Taken out of the queue, they are in work and still there.
    task = AsrTask.from_json(str(await redis.client.rpop(redis_names.ASR_TASKS)))
    with pytest.raises(TooMany):
        await send("one", 4)
    for number in range(2):
        await send("two", number)
    with pytest.raises(TooMany, match="recordings of all clients"):
        await send("three", 0)
    assert len([key async for key in redis.client.scan_iter("blob:*")]) == 5
    # Heard, one is gone half a minute later, and with it its place.
    for effect in commands.release_recording(task.audio.id):
        await redis.client.execute_command(*effect)  # type: ignore[no-untyped-call]
    left = await redis.client.zscore(redis_names.RECORDING_ENDS, task.audio.id) or 0.0
    assert left - time.time() < redis_names.RELEASED_BLOB_TTL_S + 1
    await redis.client.zadd(redis_names.RECORDING_ENDS, {task.audio.id: 1})
    await send("one", 5)
    assert await redis.client.ttl(redis_names.RECORDING_SIZES) > 0


async def test_a_redis_that_is_full_refuses_a_recording_in_clear_words(
    house: House, redis: RedisClient
) -> None:
    await redis.client.lpush(redis_names.TTS_REQUESTS, "x" * 150_000)
    used = int((await redis.client.info("memory"))["used_memory"])
    await redis.client.config_set("maxmemory-policy", "noeviction")
    await redis.client.config_set("maxmemory", used + 300_000)
    try:
        with pytest.raises(Unavailable, match="Redis has no memory left") as refused:
            big = Recording(b"OggS" + bytes(500_000), "ogg")
            for number in range(3):
                await house.replica().send(
                    "live-001", big, request_id=str(number), lang=None, traceparent=None
                )
        assert refused.value.body.code == "asr_unavailable"
        assert await redis.client.llen(redis_names.TTS_REQUESTS) == 1
    finally:
        await redis.client.config_set("maxmemory", 0)


@pytest.mark.parametrize("away", ["blobs", "queue", "both"])
async def test_without_redis_a_recording_is_not_taken_and_the_uploader_is_told(
    house: House,
    valkey_url: str,
    redis: RedisClient,
    no_redis: RedisClient,
    no_redis_url: str,
    away: str,
) -> None:
    blobs = BlobStore(valkey_url if away == "queue" else no_redis_url)
    link = redis if away == "blobs" else no_redis
    transcripts = RecordingQueue(link, blobs, None, None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="cannot be queued now") as error:
        await transcripts.send(
            "live-001", RECORDING, request_id="upload-1", lang=None, traceparent=None
        )
    assert (error.value.status, error.value.body.code, error.value.body.retryable) == (
        503,
        "asr_unavailable",
        True,
    )
    assert await redis.client.llen(redis_names.ASR_TASKS) == 0
    await blobs.aclose()


async def test_a_transcript_becomes_one_turn_of_its_session(
    house: House, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [WHOLE]
    await house.heard(transcript(lang="zh"))
    (request,) = engine.requests
    assert (request.session_id, request.turn, request.type, request.content) == (
        "live-001",
        1,
        TurnType.ASR_FINAL,
        "今晚玩什么？",
    )
    assert (request.meta.request_id, request.meta.lang) == ("upload-1", "zh")
    assert engine.headers[0]["traceparent"].startswith(TRACE[:35])
    assert await house.told() == []
    assert await redis.client.exists(DEAD, redis_names.attempts(FINALS)) == 0


async def test_a_transcript_of_an_older_producer_belongs_to_its_task(
    house: House, engine: ScriptedEngine
) -> None:
    engine.answers = [WHOLE]
    await house.heard('{"task_id": "live-001", "status": "finished", "text": "hi"}')
    assert [(request.session_id, request.content, request.turn) for request in engine.requests] == [
        ("live-001", "hi", 1)
    ]


async def test_a_transcript_without_a_name_is_one_turn_however_often_it_is_delivered(
    house: House, engine: ScriptedEngine
) -> None:
    engine.answers = [WHOLE]
    nameless = '{"task_id": "live-001", "status": "finished", "text": "hi"}'
    await house.heard(nameless)
    await house.heard(nameless)
    assert {(request.turn, request.meta.request_id) for request in engine.requests} == {
        (1, engine.requests[0].meta.request_id)
    }
    assert engine.requests[0].meta.request_id is not None


async def test_what_was_heard_says_the_language_and_else_the_uploader_does(
    house: House, engine: ScriptedEngine
) -> None:
    engine.answers = [WHOLE]
    await house.heard(transcript())
    assert engine.requests[0].meta.lang == "en"


async def test_a_turn_whose_process_dies_is_asked_again_under_its_number_and_name(
    house: House, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), HANG]), WHOLE]
    first = house.replica("same")
    await redis.client.lpush(FINALS, transcript().to_json())
    first.start()
    await until(lambda: engine.requests)
    await house.crash()
    assert await redis.client.llen(redis_names.processing(FINALS, "same")) == 1
    again = house.replica("same")
    again.start()
    await until(lambda: len(engine.requests) == 2 and not house.works[1].running)
    await again.aclose()
    before, after = engine.requests
    assert (before.turn, before.meta.request_id, before.content) == (1, "upload-1", "今晚玩什么？")
    assert after == before, "the engine knows it by its request id and replays it"
    assert await redis.client.get(redis_names.turn_counter("live-001")) == "1"
    assert await redis.client.keys(f"{FINALS}*") == []


async def test_two_recordings_with_the_same_words_are_two_turns(
    house: House, engine: ScriptedEngine
) -> None:
    engine.answers = [WHOLE]
    await house.heard(transcript(request_id="upload-1"), transcript(request_id="upload-2"))
    assert sorted(
        (request.meta.request_id or "", request.turn or 0) for request in engine.requests
    ) in (
        [("upload-1", 1), ("upload-2", 2)],
        [("upload-1", 2), ("upload-2", 1)],
    )


async def test_replicas_share_the_transcripts_and_none_is_asked_twice(
    house: House, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [WHOLE]
    replicas = [house.replica("one"), house.replica("two")]
    for replica in replicas:
        replica.start()
    for number in range(20):
        await redis.client.lpush(FINALS, transcript(request_id=f"upload-{number}").to_json())
    await until(
        lambda: len(engine.requests) >= 20 and not any(work.running for work in house.works)
    )
    for replica in replicas:
        await replica.aclose()
    assert {request.meta.request_id for request in engine.requests} == {
        f"upload-{number}" for number in range(20)
    }
    assert len(engine.requests) == 20


async def test_a_refused_turn_tells_the_viewers_under_the_recordings_name(
    house: House, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [refusal(422, "invalid")]
    await house.heard(transcript())
    assert await house.told() == [("recording:upload-1", "invalid")]
    assert await redis.client.exists(DEAD) == 0, "nothing is wrong with the message itself"


async def test_a_turn_that_no_path_takes_tells_the_viewers(
    house: House, engine: ScriptedEngine
) -> None:
    await house.heard(transcript(), legacy=False, flags=FlagSet(ENABLE_SYNC_CORE=False))
    assert engine.requests == []
    assert await house.told() == [("recording:upload-1", "legacy_unavailable")]


UNREADABLE: list[tuple[AsrResult | str | bytes, list[tuple[str, str | None]]]] = [
    (transcript(text="  "), [("recording:upload-1", "invalid")]),
    (transcript(text="x" * 4_001), [("recording:upload-1", "invalid")]),
    (transcript(lang="not a language"), [("recording:upload-1", "invalid")]),
    (transcript(status="partial"), [("recording:upload-1", "invalid")]),
    (transcript(status="failed"), [("recording:upload-1", "invalid")]),
    (
        '{"task_id": "live-001", "status": "whatever", "meta": {"request_id": "upload-1"}}',
        [("upload-1", "invalid")],
    ),
    ('{"task_id": "../../etc", "status": "finished", "text": "x"}', []),
    (b"\xff\xfe", []),
    ("{", []),
    ("[]", []),
]


@pytest.mark.parametrize(("result", "told"), UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_a_turn_is_put_aside_and_told_as_far_as_it_says_whose_it_is(
    house: House,
    engine: ScriptedEngine,
    redis: RedisClient,
    result: AsrResult | str | bytes,
    told: list[tuple[str, str | None]],
) -> None:
    engine.answers = [WHOLE]
    await house.heard(result, transcript("and the next", request_id="upload-2"))
    assert [request.content for request in engine.requests] == ["and the next"]
    assert await house.told() == told
    assert await redis.client.llen(DEAD) == 1
    assert await redis.client.exists(redis_names.responses("../../etc")) == 0


async def test_a_transcript_that_nobody_survives_is_told_once(
    house: House, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("cannot")

    monkeypatch.setattr(module, "_request", breaks)
    await house.heard(transcript(), b"\xff")
    assert await house.told() == [("recording:upload-1", "given_up")]
    assert await redis.client.llen(DEAD) == 2


async def test_closing_leaves_a_turn_that_does_not_end_to_another_replica(
    house: House, engine: ScriptedEngine, redis: RedisClient
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO), HANG])]
    transcripts = house.replica()
    await redis.client.lpush(FINALS, transcript().to_json())
    transcripts.start()
    await until(lambda: engine.requests)
    await transcripts.aclose()
    assert await redis.client.lrange(FINALS, 0, -1) == [transcript().to_json()]
    await asyncio.wait_for(engine.left.wait(), 2)
