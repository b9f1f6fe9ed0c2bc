import json

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import (
    AudioBlob,
    ChainMeta,
    MouthCue,
    TaskResponse,
    TtsError,
    TtsRequest,
)
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.work_queue.commands import RedisCommand
from tts.responses import SynthesisResult, commands_for

SOUND = AudioBlob(id="ab" * 16, format="wav")
SPOKEN = SynthesisResult(SOUND, "espeak", 1200, [MouthCue(offset_ms=0, weights={"aa": 1.0})])
SILENT = SynthesisResult(problem="voice_failed", detail="nobody could speak", voice="chain")


def request(channel: str = "task_response:live-001", /, **meta: object) -> TtsRequest:
    known = ChainMeta.model_validate(
        {"session_id": "live-001", "turn": 3, "received_at": 100.0, **meta}
    )
    return TtsRequest(
        message_id="live-001#3",
        task_id="live-001",
        text="Hi.",
        response_channel=channel,
        user_text="hello",
        meta=known,
    )


def named(effects: list[RedisCommand], name: str) -> list[RedisCommand]:
    return [effect for effect in effects if effect[0] == name]


def answer(effects: list[RedisCommand]) -> TaskResponse:
    [(_, key, name, raw, _, channel)] = named(effects, "SEND_RESPONSE")
    assert (key, name, channel) == (
        redis_names.responses("live-001"),
        "live-001#3",
        "task_response:live-001",
    )
    return TaskResponse.from_json(raw)


def test_a_turn_of_the_chain_is_answered_noted_and_the_next_one_goes_on() -> None:
    made = commands_for(request(reason="unreachable", flags=FlagSet(generation=4)), SPOKEN, 100.5)
    told = answer(made)
    assert (told.status, told.text, told.user_text, told.audio, told.audio_file) == (
        "success",
        "Hi.",
        "hello",
        SOUND,
        SOUND.id,
    )
    assert (told.metadata.provider, told.metadata.audio_ms, told.metadata.processing_time) == (
        "espeak",
        1200,
        0.5,
    )
    assert told.mouth == SPOKEN.mouth
    assert named(made, "ADVANCE") == [
        ("ADVANCE", redis_names.session_queue("live-001"), redis_names.CHAT_REQUESTS, "live-001#3")
    ]
    [sample] = named(made, "XADD")
    entry = TurnSample.from_json(sample[-1])
    assert (entry.path, entry.outcome, entry.reason, entry.flags.generation) == (
        "legacy",
        "completed",
        "unreachable",
        4,
    )
    assert (entry.total_ms, entry.first_audio_ms, entry.ttft_ms) == (500, 500, 500)
    assert named(made, "PUBLISH") == []


def test_without_a_voice_the_text_is_the_answer_and_listeners_to_errors_are_told() -> None:
    made = commands_for(request(reason="unreachable"), SILENT, 101.0)
    told = answer(made)
    assert (told.status, told.text, told.audio, told.mouth, told.metadata.code) == (
        "success",
        "Hi.",
        None,
        [],
        "voice_failed",
    )
    assert told.metadata.provider is None
    [(_, channel, raw)] = named(made, "PUBLISH")
    failure = TtsError.from_json(raw)
    assert (channel, failure.message_id, failure.error.code) == (
        redis_names.TTS_ERRORS,
        "live-001#3",
        "ALL_PROVIDERS_FAILED",
    )
    assert "nobody could speak" in (failure.error.details or "")
    entry = TurnSample.from_json(named(made, "XADD")[0][-1])
    assert (entry.outcome, entry.first_audio_ms) == ("completed", None)


@pytest.mark.parametrize(
    ("meta", "sampled"),
    [
        ({"reason": "unreachable", "flags": FlagSet()}, True),
        ({"flags": FlagSet(ENABLE_SYNC_CORE=False)}, True),
        ({"flags": FlagSet(), "from_channel": "dialog_engine"}, False),
        ({"reason": "x", "turn": None}, False),
        ({}, False),
    ],
)
def test_only_turns_that_the_chain_answers_are_its_samples(
    meta: dict[str, object], sampled: bool
) -> None:
    assert bool(named(commands_for(request(**meta), SPOKEN, 101.0), "XADD")) is sampled


def test_an_older_producer_is_answered_where_it_listens() -> None:
    elsewhere = request("task_response:of-old", turn=None, received_at=None)
    made = commands_for(elsewhere, SPOKEN, 101.0)
    [(_, channel, raw)] = named(made, "PUBLISH")
    assert (channel, json.loads(raw)["audio_file"]) == ("task_response:of-old", SOUND.id)
    assert answer(made).metadata.processing_time is None
    assert named(made, "ADVANCE") == []
    assert named(commands_for(request("vtuber:flags:changed"), SPOKEN, 101.0), "PUBLISH") == []
