"""Voice files into a session, in virtual time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dialog_contracts import binary
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import MouthCue, TaskResponse
from dialog_telemetry import metrics
from output_handler.answer_player import AnswerPlayer
from output_handler.errors import BargeInOff
from output_handler.session import Session
from output_handler.testing.post import Post, answer, wav
from output_handler.testing.stage import Stage, now_ms, story
from output_handler.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime

WHOLE_FILE = FlagSet()
BARGE_IN = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)


@dataclass
class Room:
    stage: Stage
    post: Post
    player: AnswerPlayer

    @property
    def session(self) -> Session:
        return self.stage.session

    async def voiced(self, turn: int, ms: int = 1_000, **more: Any) -> TaskResponse:
        response = answer(turn, blob=await self.post.voice(ms), **more)
        self.player.take(response)
        return response

    @property
    def heard(self) -> list[str]:
        return self.post.answers.heard_ids


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    to_engine: list[str] = []
    stage = Stage(Session("live-001", now_ms, to_engine.append), to_engine)
    post = Post(voice_within_s=30)
    player = AnswerPlayer(stage.session, post.room)
    stage.session.files = player
    yield Room(stage, post, player)
    player.close()
    stage.session.close()
    await post.tasks.close()


def chunks(sent: list[str | bytes]) -> list[dict[str, Any]]:
    return [frame for raw in sent if isinstance(raw, str) and (frame := json.loads(raw)).get("type") == "SPEECH_CHUNK"]


def texts(sent: list[str | bytes]) -> list[str]:
    found = story([raw for raw in sent if isinstance(raw, str)])
    sent.clear()
    return found


def without_chunks(sent: list[str | bytes]) -> list[str]:
    return [line for line in texts(sent) if not line.startswith("CHUNK")]


async def test_an_answer_is_a_turn_like_any_other(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    sent.clear()
    await room.voiced(3, 100, flags=BARGE_IN, mouth=[MouthCue(offset_ms=40, weights={"aa": 0.7})])
    await asyncio.sleep(0.05)
    start = json.loads(sent[0])
    assert (start["turn"], start["path"], start["reason"], start["userText"]) == (3, "legacy", "not_reached", "今晚玩什么？")
    assert start["flags"]["SYNC_TTS_BARGE_IN"] is True
    assert start["startedAt"] == pytest.approx(1_001)
    said = chunks(sent)
    assert [chunk["viseme"] for chunk in said] == [{}, {"aa": 0.7}, {"aa": 0.7}]
    assert [(chunk["textStart"], chunk["textEnd"]) for chunk in said] == [(0, 2), (2, 4), (4, 5)]
    assert texts(sent) == [
        *("START 3", "STATE THINKING", "TEXT 今晚玩解谜", "STATE SPEAKING", "CHUNK 0", "CHUNK 1", "CHUNK 2", "END 3"),
    ]
    await asyncio.sleep(0.1)
    assert texts(sent) == ["STATE IDLE"]
    assert room.heard == ["live-001#3"]


async def test_binary_viewers_get_binary_frames_of_the_same_sound(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session, binary=True)
    await room.voiced(1, 200)
    await asyncio.sleep(0.1)
    read = [binary.unpack(raw) for raw in sent if isinstance(raw, bytes)]
    assert b"".join(chunk.payload for chunk in read) == wav(200)[44:]


async def test_sound_is_never_far_ahead_of_the_ear(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session, queue_ms=1_000)
    await room.voiced(1, 10_000)
    began = now_ms()
    while now_ms() - began < 11_000:
        await asyncio.sleep(0.1)
        offsets = [chunk["offsetMs"] for chunk in chunks(sent)]
        ear = now_ms() - began
        assert min(ear + 400, 9_960) <= offsets[-1] <= ear + 640
    assert len(chunks(sent)) == 250
    assert "ERROR too_slow" not in texts(sent)


async def test_answers_play_one_after_another_in_the_order_of_turns(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    await room.voiced(2, 400)
    await room.voiced(4, 400)
    await room.voiced(3, 400)
    await asyncio.sleep(0.3)
    assert without_chunks(sent)[-1] == "END 2"
    await asyncio.sleep(2)
    assert [line for line in without_chunks(sent) if "STATE" not in line and "TEXT" not in line] == [
        *("START 3", "END 3", "START 4", "END 4"),
    ]
    assert room.heard == ["live-001#2", "live-001#3", "live-001#4"]


async def test_the_older_dialect_gets_text_and_file_at_once_and_nobody_waits_for_an_ear(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session, legacy=True)
    await room.voiced(1, 3_000)
    await room.voiced(2, 3_000)
    await asyncio.sleep(0.1)
    file = b"".join(raw for raw in sent if isinstance(raw, bytes))
    assert file == wav(3_000) * 2
    assert texts(sent) == ["success 今晚玩解谜", *["audio_chunk"] * 3, "audio_complete"] * 2
    assert room.heard == ["live-001#1", "live-001#2"]


async def test_both_dialects_hear_the_same_answer(room: Room, listen: Listen) -> None:
    _, older = await listen(room.session, legacy=True)
    _, newer = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.05)
    assert texts(older) == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
    await asyncio.sleep(2)
    assert without_chunks(newer)[-2:] == ["END 1", "STATE IDLE"]
    assert older == []
    assert room.heard == ["live-001#1"]


async def test_an_answer_without_a_viewer_waits_for_one(room: Room, listen: Listen) -> None:
    await room.voiced(1, 200)
    await asyncio.sleep(3)
    assert room.heard == []
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert without_chunks(sent)[1:] == ["START 1", "STATE THINKING", "TEXT 今晚玩解谜", "STATE SPEAKING", "END 1", "STATE IDLE"]


async def test_whoever_comes_later_is_told_the_newest_of_what_nobody_heard(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    for turn in (1, 2, 3):
        kept = answer(turn, blob=await room.post.voice(1_000))
        asked = kept.meta.model_copy(update={"received_at": time.time() - 60})
        metadata = kept.metadata.model_copy(update={"processing_time": 0.5})
        room.player.take(kept.model_copy(update={"meta": asked, "metadata": metadata}))
    await asyncio.sleep(5)
    assert [text for text in without_chunks(sent) if text.startswith("END")] == ["END 3"]
    assert room.heard == ["live-001#3"]


async def test_an_older_client_is_told_all_of_it(room: Room, listen: Listen) -> None:
    await room.voiced(1, 1_000)
    await room.voiced(2, 1_000)
    _, sent = await listen(room.session, legacy=True)
    await asyncio.sleep(1)
    assert texts(sent).count("audio_complete") == 2


async def test_what_was_heard_meanwhile_elsewhere_is_not_told_again(room: Room, listen: Listen) -> None:
    await room.voiced(1, 200)
    await room.voiced(2, 200)
    await asyncio.sleep(1)
    room.heard.append("live-001#1")
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert [line for line in texts(sent) if "START" in line] == ["START 2"]


async def test_when_redis_cannot_say_it_is_rather_told_twice(room: Room, listen: Listen) -> None:
    await room.voiced(1, 200)
    room.post.answers.down = True
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert "END 1" in texts(sent)


async def test_an_answer_that_ends_before_nobody_is_told_again_to_the_next_viewer(room: Room, listen: Listen) -> None:
    viewer, _ = await listen(room.session)
    await room.voiced(1, 2_000)
    await asyncio.sleep(0.5)
    room.session.leave(viewer)
    await asyncio.sleep(5)
    assert room.heard == []
    _, sent = await listen(room.session)
    await asyncio.sleep(3)
    assert len(chunks(sent)) == 50
    assert room.heard == ["live-001#1"]
    _, again = await listen(room.session)
    await asyncio.sleep(1)
    assert texts(again) == ["STATE IDLE"]


async def test_a_late_viewer_joins_at_the_live_position_and_a_late_older_one_gets_the_file(room: Room, listen: Listen) -> None:
    await listen(room.session)
    await room.voiced(1, 4_000)
    await asyncio.sleep(2.021)
    _, late = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    await asyncio.sleep(0.001)
    seen = texts(late)
    assert seen[:4] == ["START 1", "STATE SPEAKING", "TEXT 今晚玩解谜", "CHUNK 50"]
    assert texts(older)[0] == "success 今晚玩解谜"
    await asyncio.sleep(5)
    assert older == []


async def test_an_older_viewer_that_comes_back_is_not_told_twice(room: Room, listen: Listen) -> None:
    await listen(room.session)
    first, sent = await listen(room.session, legacy=True)
    await room.voiced(1, 4_000)
    await asyncio.sleep(0.5)
    assert len(texts(sent)) > 2
    room.session.leave(first)
    _, again = await listen(room.session, legacy=True)
    await asyncio.sleep(8)
    assert again == []


async def test_stop_silences_a_file_at_once(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 5_000, flags=BARGE_IN)
    await asyncio.sleep(2.5)
    sent.clear()
    assert room.session.stop(None, "viewer")
    await asyncio.sleep(0.01)
    ack = json.loads(sent[2])
    assert (ack["action"], ack["heardText"]) == ("STOP_ACK", "今晚")
    assert texts(sent) == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
    await asyncio.sleep(5)
    assert texts(sent) == ["STATE IDLE"]
    assert room.stage.to_engine == []
    assert not room.session.stop(None, "viewer")
    assert room.heard == ["live-001#1"]


async def test_stop_without_barge_in_is_refused_and_the_file_goes_on(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.2)
    with pytest.raises(BargeInOff):
        room.session.stop(None, "viewer")
    await asyncio.sleep(2)
    assert without_chunks(sent)[-2:] == ["END 1", "STATE IDLE"]


async def test_a_newer_turn_of_an_engine_ends_the_file(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 5_000)
    await asyncio.sleep(1)
    sent.clear()
    room.stage.start(2)
    room.stage.chunks(0, 0, turn=2)
    await asyncio.sleep(2)
    assert texts(sent) == [
        *("STOP 1", "STATE INTERRUPTED", "STOP_ACK 1", "START 2", "STATE THINKING", "STATE SPEAKING", "CHUNK 0"),
    ]


async def test_nothing_of_an_engine_that_lost_its_turn_reaches_the_viewers(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1)
    await asyncio.sleep(0.5)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.1)
    assert [line for line in without_chunks(sent) if "START" in line] == ["START 1", "START 1"]
    room.stage.stop_ack(1)
    room.stage.text("late", turn=1)
    room.stage.end(1)
    room.stage.start(1)
    room.stage.start(1, epoch=2)
    room.session.engine_lost()
    await asyncio.sleep(2)
    assert without_chunks(sent) == ["END 1", "STATE IDLE"]


async def test_an_engine_that_broke_off_before_a_word_leaves_the_answer_to_the_chain(room: Room, listen: Listen) -> None:
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1)
    room.stage.stop_ack(1)
    await asyncio.sleep(0.1)
    assert older == []
    await room.voiced(1, 200)
    await asyncio.sleep(0.1)
    assert texts(older) == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]


async def test_an_answer_of_an_older_turn_is_text_for_the_older_dialect_alone(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    late = metrics.ANSWERS.labels(outcome="late")
    before = late._value.get()
    room.stage.start(5)
    room.stage.text("新的", turn=5)
    room.stage.chunks(0, 4, turn=5)
    await asyncio.sleep(0.01)
    sent.clear()
    await room.voiced(4, 500, text="旧的")
    await asyncio.sleep(1)
    assert sent == []
    assert texts(older) == ["success 旧的"]
    assert late._value.get() == before + 1
    assert room.heard == ["live-001#4"]
    room.stage.end(5)
    await asyncio.sleep(0.01)
    assert texts(older) == ["success 新的", "audio_chunk", "audio_complete"], "what was collected of turn 5 is still there"


async def test_a_newer_answer_waits_until_the_engines_speech_was_heard(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1)
    room.stage.chunks(0, 49)
    room.stage.end(1)
    await room.voiced(2, 200)
    await asyncio.sleep(1.9)
    assert not [line for line in texts(sent) if line == "START 2"]
    await asyncio.sleep(0.2)
    assert "START 2" in texts(sent)


async def test_the_voice_of_an_engines_turn_is_played_into_it_and_end_waits(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1, flags=WHOLE_FILE)
    room.stage.text("今晚玩解谜", eos=True)
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(3)
    assert texts(sent) == ["STATE IDLE", "START 1", "STATE THINKING", "TEXT 今晚玩解谜"]
    assert older == []
    room.session.engine_lost()
    await room.voiced(1, 1_000, text="", of_engine=True)
    await asyncio.sleep(0.1)
    assert texts(older) == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
    await asyncio.sleep(0.5)
    end = next(json.loads(raw) for raw in sent if '"END"' in str(raw))
    assert end["audioMs"] == 1_000
    await asyncio.sleep(0.5)
    assert without_chunks(sent) == ["STATE SPEAKING", "END 1", "STATE IDLE"]
    assert room.heard == ["live-001#1"]


async def test_a_voice_that_is_there_before_end_waits_for_it(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1, flags=WHOLE_FILE)
    room.stage.text("今晚玩解谜", eos=True)
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(1)
    assert "STATE SPEAKING" not in texts(sent)
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(1)
    assert without_chunks(sent) == ["STATE SPEAKING", "END 1", "STATE IDLE"]


async def test_a_voice_that_does_not_come_leaves_the_text(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    missing = metrics.ANSWERS.labels(outcome="voice_missing")
    before = missing._value.get()
    room.stage.start(1, flags=WHOLE_FILE)
    room.stage.text("今晚玩解谜", eos=True)
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(29)
    sent.clear()
    await asyncio.sleep(2)
    end = json.loads(sent[1])
    assert (end["action"], end["audioMs"]) == ("END", 0)
    assert texts(sent) == ["ERROR voice_missing", "END 1", "STATE IDLE"]
    assert texts(older) == ["success 今晚玩解谜"]
    assert missing._value.get() == before + 1
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(2)
    assert sent == []
    assert older == []


@pytest.mark.parametrize("how", ["stop", "turn"])
async def test_a_turn_that_waits_for_its_voice_can_be_ended(room: Room, listen: Listen, how: str) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1, flags=BARGE_IN)
    room.stage.text("今晚玩解谜", eos=True)
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(1)
    sent.clear()
    if how == "stop":
        assert room.session.stop(1, "x")
        await asyncio.sleep(0.01)
        assert texts(sent) == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
        assert texts(older) == ["success"]
    else:
        room.stage.start(2)
        await asyncio.sleep(0.01)
        assert texts(sent) == ["END 1", "START 2", "STATE THINKING"]
        assert texts(older) == ["success 今晚玩解谜"]
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(40)
    assert without_chunks(sent) == ([] if how == "turn" else ["STATE IDLE"])


async def test_without_its_file_an_answer_is_text(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.player.take(answer(1, blob="f" * 32))
    await asyncio.sleep(0.1)
    room.post.blobs.down = True
    await room.voiced(2)
    await asyncio.sleep(0.1)
    room.post.blobs.down = False
    room.player.take(answer(3, blob=await room.post.blobs.put(b"not a WAV")))
    await asyncio.sleep(0.1)
    room.player.take(answer(4, code="TTS_SYNTHESIS_FAILED"))
    await asyncio.sleep(0.1)
    room.player.take(answer(5))
    await asyncio.sleep(0.1)
    told = texts(sent)
    assert told.pop(0) == "STATE IDLE"
    for turn in range(1, 5):
        assert told[:6] == [
            *(f"START {turn}", "STATE THINKING", "TEXT 今晚玩解谜", "ERROR voice_missing", f"END {turn}", "STATE IDLE"),
        ]
        del told[:6]
    assert told == ["START 5", "STATE THINKING", "TEXT 今晚玩解谜", "END 5", "STATE IDLE"]
    assert texts(older) == ["success 今晚玩解谜"] * 5
    assert len(room.heard) == 5


async def test_an_error_is_told_in_both_dialects_and_the_phase_goes_back(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1)
    await asyncio.sleep(0.1)
    sent.clear()
    room.player.take(answer(1, error="no answer came within 30 s", code="legacy_timeout"))
    await asyncio.sleep(0.1)
    assert texts(sent) == ["ERROR legacy_timeout", "STATE IDLE"]
    assert texts(older) == ["error no answer came within 30 s"]
    assert room.heard == ["live-001#1"]
    room.player.take(answer(None, error="nothing was heard", code="nothing_heard"))
    await asyncio.sleep(0.1)
    assert texts(sent) == ["ERROR nothing_heard"]


async def test_an_error_in_place_of_a_voice_ends_the_turn_with_its_text(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1, flags=WHOLE_FILE)
    room.stage.text("今晚玩解谜", eos=True)
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(0.1)
    sent.clear()
    room.player.take(answer(1, error="no voice", code="ALL_PROVIDERS_FAILED", of_engine=True))
    await asyncio.sleep(0.1)
    assert texts(sent) == ["ERROR voice_missing", "END 1", "STATE IDLE"]
    assert texts(older) == ["success 今晚玩解谜"]


async def test_an_answer_that_names_no_turn_reaches_only_the_older_dialect(room: Room, listen: Listen) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.player.take(answer(None, blob=await room.post.voice(100)))
    await asyncio.sleep(0.1)
    assert texts(sent) == ["STATE IDLE"]
    assert texts(older) == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
