"""Replies through the last list of the chain, in a real Valkey, by a scripted voice."""

from typing import TYPE_CHECKING

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from tts import synthesis

if TYPE_CHECKING:
    from conftest import House


async def test_a_turn_is_answered_with_text_one_wav_and_the_mouths_shapes(house: "House") -> None:
    asked = house.request(flags=FlagSet(generation=7))
    async with house.listening(
        redis_names.task_response("live-001"), redis_names.TTS_ERRORS
    ) as heard:
        await house.asked(asked)
    answer = await house.answer()
    assert (answer.message_id, answer.task_id, answer.status, answer.text, answer.user_text) == (
        "live-001#3",
        "live-001",
        "success",
        house.REPLY,
        "今晚玩什么？",
    )
    assert answer.audio is not None
    assert (answer.audio.format, answer.audio_file) == ("wav", answer.audio.id)
    length_ms, pcm = await house.sound(answer)
    assert (length_ms, answer.metadata.audio_ms) == (house.REPLY_MS, house.REPLY_MS)
    assert pcm == b"\1\0" * 2_400 + bytes(2 * 24 * 160) + b"\1\0" * 2_400
    assert [cue.offset_ms for cue in answer.mouth] == [0, 60, 100, 260, 320]
    assert (answer.metadata.provider, answer.metadata.code, answer.error) == (
        "scripted",
        None,
        None,
    )
    assert 1.4 < (answer.metadata.processing_time or 0) < 10
    assert answer.meta == asked.meta
    assert [(channel, TaskResponse.model_validate(data)) for channel, data in heard] == [
        ("task_response:live-001", answer)
    ]
    assert (
        0 < await house.redis.ttl(redis_names.responses("live-001")) <= redis_names.RESPONSE_TTL_S
    )


async def test_the_language_is_the_turns_own_else_the_one_it_was_asked_in(house: "House") -> None:
    await house.asked(house.request("Okay.", lang="en-GB"))
    await house.asked(house.request("OK", turn=4))
    assert house.voice.said == [("Okay.", "en-GB"), ("OK", "zh")]


async def test_a_reply_too_long_for_a_file_keeps_its_beginning_and_says_so(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "MAX_AUDIO_MS", 150)
    await house.asked(house.request())
    answer = await house.answer()
    assert (answer.text, answer.metadata.code, (await house.sound(answer))[0]) == (
        house.REPLY,
        "voice_too_long",
        100,
    )


async def test_a_text_without_words_is_answered_without_sound_and_nothing_is_wrong_with_that(
    house: "House",
) -> None:
    async with house.listening(redis_names.TTS_ERRORS) as heard:
        await house.asked(house.request("……"))
    answer = await house.answer()
    assert (answer.status, answer.text, answer.audio, answer.metadata.code) == (
        "success",
        "……",
        None,
        None,
    )
    assert heard == []


async def test_with_the_answer_the_sessions_next_turn_goes_into_the_chain(house: "House") -> None:
    following = UserInput(
        task_id="live-001", content="and you?", meta=ChainMeta(session_id="live-001", turn=4)
    )
    backlog = redis_names.session_queue("live-001")
    await house.redis.rpush(backlog, "live-001#3\n{}", f"live-001#4\n{following.to_json()}")
    await house.asked(house.request())
    assert await house.redis.lrange(redis_names.CHAT_REQUESTS, 0, -1) == [following.to_json()]
    await house.asked(house.request())
    assert await house.redis.llen(redis_names.CHAT_REQUESTS) == 1, (
        "an answer that comes twice moves nothing"
    )


async def test_a_second_answer_to_a_message_changes_nothing_and_is_not_announced(
    house: "House",
) -> None:
    await house.asked(house.request())
    first = await house.answer()
    async with house.listening(redis_names.task_response("live-001")) as heard:
        await house.asked(house.request("something else entirely"))
    assert await house.answers() == [first]
    assert heard == []
    assert (await house.sound(first))[0] == house.REPLY_MS, "its sound is still there"


async def test_who_asked_for_the_answer_elsewhere_hears_it_there_too_but_on_no_channel_of_ours(
    house: "House",
) -> None:
    channels = ("task_response:elsewhere", redis_names.FLAGS_CHANGED)
    async with house.listening(*channels) as heard:
        await house.asked(house.request(channel="task_response:elsewhere"))
        await house.asked(house.request(turn=4, channel=redis_names.FLAGS_CHANGED))
    assert [(channel, data["message_id"]) for channel, data in heard] == [
        ("task_response:elsewhere", "live-001#3")
    ]
    assert len(await house.answers()) == 2
