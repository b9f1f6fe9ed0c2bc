import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from e2e.harness.recordings import encoded, webm

from asr.decoder import Samples
from asr.recognizer import NullRecognizer, Recognizer, Transcript
from asr.recording_worker import RecordingWorker
from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import (
    AsrOptions,
    AsrResult,
    AsrTask,
    AudioBlob,
    AudioKind,
    ChainMeta,
    TaskResponse,
)
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics

BLOB = "ab" * 16
META = ChainMeta(
    session_id="live-001",
    request_id="r-7",
    lang="zh",
    received_at=5.0,
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
)


class OneBlob(BlobStore):
    def __init__(self, data: bytes | None | RedisUnavailable) -> None:
        self._data = data

    async def get(self, blob_id: str) -> bytes | None:
        assert blob_id == BLOB
        if isinstance(self._data, RedisUnavailable):
            raise self._data
        return self._data


class Says(NullRecognizer):
    name = "scripted"

    def __init__(self, text: str | Exception) -> None:
        self._text = text
        self.lang: str | None = None

    async def warm(self) -> None:
        return

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        self.lang = lang
        if isinstance(self._text, Exception):
            raise self._text
        return Transcript(self._text, "zh")


@dataclass
class Outcome:
    effects: list[RedisCommand] = field(default_factory=list)

    async def __call__(self, raw: str, effects: Sequence[RedisCommand]) -> bool:
        self.effects.extend(effects)
        return True

    def sent(self, command: str, where: str) -> list[dict[str, Any]]:
        return [json.loads(effect[2]) for effect in self.effects if effect[:2] == (command, where)]

    @property
    def answers(self) -> list[TaskResponse]:
        return [
            TaskResponse.from_json(effect[3])
            for effect in self.effects
            if effect[0] == "SEND_RESPONSE"
        ]


def task(kind: AudioKind = "webm", lang: str | None = "zh", meta: ChainMeta = META) -> str:
    blob = AudioBlob(id=BLOB, format=kind)
    return AsrTask(
        task_id="live-001", audio=blob, options=AsrOptions(lang=lang), meta=meta
    ).to_json()


async def work(raw: str, data: bytes | None | RedisUnavailable, recognizer: Recognizer) -> Outcome:
    outcome = Outcome()
    await RecordingWorker(OneBlob(data), recognizer, 20).handle(
        Job(raw, 0, redis_names.ASR_TASKS, outcome)
    )
    return outcome


async def test_what_was_heard_is_handed_on_once_with_everything_that_rode_along() -> None:
    recognizer = Says("今晚玩什么？")
    outcome = await work(task(), webm(1.0), recognizer)
    [result] = outcome.sent("LPUSH", redis_names.ASR_FINALS)
    assert outcome.sent("PUBLISH", redis_names.ASR_RESULTS) == [result]
    read = AsrResult.model_validate(result)
    assert (read.status, read.text, read.provider, read.lang) == (
        "finished",
        "今晚玩什么？",
        "scripted",
        "zh",
    )
    assert read.meta == META
    assert recognizer.lang == "zh"
    assert outcome.answers == []
    assert (
        "EXPIRE",
        redis_names.blob(BLOB),
        str(redis_names.RELEASED_BLOB_TTL_S),
    ) in outcome.effects


async def test_without_a_model_the_text_is_honest() -> None:
    outcome = await work(task(), webm(2.0), NullRecognizer())
    [result] = outcome.sent("LPUSH", redis_names.ASR_FINALS)
    assert "没有安装语音识别模型" in result["text"]


@pytest.mark.parametrize(
    ("data", "recognizer", "code"),
    [
        (b"no recording", Says("x"), "bad_audio"),
        (None, Says("x"), "asr_failed"),
        (bytes(64_000), Says("x"), "nothing_heard"),
        (webm(1.0), Says(""), "nothing_heard"),
        (webm(1.0), Says(RuntimeError("out of memory")), "asr_failed"),
    ],
    ids=["junk", "gone", "silence", "no words", "model"],
)
async def test_who_waits_is_told_why_nothing_was_heard(
    data: bytes | None, recognizer: Says, code: str
) -> None:
    counted = metrics.ASR_RECORDINGS.labels(outcome=code)
    before = counted._value.get()
    kind: AudioKind = "pcm_s16le" if data == bytes(64_000) else "webm"
    outcome = await work(task(kind), data, recognizer)
    assert outcome.sent("LPUSH", redis_names.ASR_FINALS) == []
    [announced] = outcome.sent("PUBLISH", redis_names.ASR_RESULTS)
    assert (announced["status"], announced["error"]) == ("failed", code)
    [answer] = outcome.answers
    assert (answer.message_id, answer.task_id, answer.status) == (
        "recording:r-7",
        "live-001",
        "error",
    )
    assert (answer.metadata.code, answer.meta) == (code, META)
    assert "录音" in (answer.error or "")
    assert counted._value.get() == before + 1


async def test_while_redis_is_away_the_recording_waits() -> None:
    with pytest.raises(ConnectionError):
        await work(task(), RedisUnavailable("blob", "TimeoutError"), Says("x"))


@pytest.mark.parametrize(
    "audio", [{"type": "file", "path": "/etc/passwd", "format": "wav"}, {"path": "/etc/passwd"}]
)
async def test_a_path_is_refused_with_an_answer(audio: dict[str, str]) -> None:
    raw = json.dumps(
        {
            "task_id": "live-001",
            "audio": audio,
            "options": {"lang": "en"},
            "meta": {"trace_id": None},
        }
    )
    outcome = await work(raw, b"", Says("x"))
    [answer] = outcome.answers
    assert answer.metadata.code == "bad_audio"
    assert "not read by a path" in (answer.error or "")
    assert [effect[1] for effect in outcome.effects if effect[0] == "LPUSH"] == [
        redis_names.dead_letter(redis_names.ASR_TASKS)
    ]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "{",
        '"x"',
        "[" * 100_000,
        '{"task_id": 5}',
        '{"task_id": "a b", "audio": {"path": "x"}}',
        '{"task_id": "a", "meta": 5}',
    ],
    ids=range(8),
)
async def test_what_is_no_message_is_put_aside(raw: str) -> None:
    outcome = await work(raw, b"", Says("x"))
    assert [effect[1] for effect in outcome.effects if effect[0] == "LPUSH"] == [
        redis_names.dead_letter(redis_names.ASR_TASKS)
    ]
    assert outcome.answers == []


async def test_a_recording_that_nobody_survives_is_answered() -> None:
    listener = RecordingWorker(OneBlob(None), Says("x"), 20)
    outcome = Outcome(list(listener.on_exhausted(task(lang="en"))))
    assert [answer.metadata.code for answer in outcome.answers] == ["asr_failed"]
    assert listener.on_exhausted("junk") == []


async def test_another_form_than_announced_is_refused() -> None:
    outcome = await work(task("mp3"), encoded("ogg", "libopus", 0.5), Says("x"))
    assert [answer.metadata.code for answer in outcome.answers] in (
        ["bad_audio"],
        ["nothing_heard"],
    )
