"""Voice files into a session, in virtual time."""

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from dialog_contracts import binary
from dialog_contracts.legacy_chain import MouthCue
from output_handler.testing.fake_legacy import response, wav
from output_handler.testing.session_driver import FLAGS, now_ms

if TYPE_CHECKING:
    from conftest import Listen, Room

pytestmark = pytest.mark.looptime


async def test_an_answer_is_a_turn_like_any_other(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    sent.clear()
    await room.voiced(3, 100, flags=FLAGS, mouth=[MouthCue(offset_ms=40, weights={"aa": 0.7})])
    await asyncio.sleep(0.05)
    start = json.loads(sent[0])
    assert (start["turn"], start["path"], start["reason"], start["userText"]) == (
        3,
        "legacy",
        "not_reached",
        "今晚玩什么？",
    )
    assert start["flags"]["SYNC_TTS_BARGE_IN"] is True
    assert start["startedAt"] == pytest.approx(1_001)
    said = sent.chunks()
    assert [chunk["viseme"] for chunk in said] == [{}, {"aa": 0.7}, {"aa": 0.7}]
    assert [(chunk["textStart"], chunk["textEnd"]) for chunk in said] == [(0, 2), (2, 4), (4, 5)]
    assert sent.told() == [
        *(
            "START 3",
            "STATE THINKING",
            "TEXT 今晚玩解谜",
            "STATE SPEAKING",
            "CHUNK 0",
            "CHUNK 1",
            "CHUNK 2",
            "END 3",
        ),
    ]
    await asyncio.sleep(0.1)
    assert sent.told() == ["STATE IDLE"]
    assert room.heard == ["live-001#3"]


async def test_binary_viewers_get_binary_frames_of_the_same_sound(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session, binary=True)
    await room.voiced(1, 200)
    await asyncio.sleep(0.1)
    read = [binary.unpack(raw) for raw in sent if isinstance(raw, bytes)]
    assert b"".join(chunk.payload for chunk in read) == wav(200)[44:]


async def test_sound_is_never_far_ahead_of_the_ear(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session, queue_ms=1_000)
    await room.voiced(1, 10_000)
    began = now_ms()
    while now_ms() - began < 11_000:
        await asyncio.sleep(0.1)
        offsets = [chunk["offsetMs"] for chunk in sent.chunks()]
        ear = now_ms() - began
        assert min(ear + 400, 9_960) <= offsets[-1] <= ear + 640
    assert len(sent.chunks()) == 250
    assert "ERROR too_slow" not in sent.told()


async def test_answers_play_one_after_another_in_the_order_of_turns(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    await room.voiced(2, 400)
    await room.voiced(4, 400)
    await room.voiced(3, 400)
    await asyncio.sleep(0.3)
    assert sent.without_chunks()[-1] == "END 2"
    await asyncio.sleep(2)
    assert [
        line for line in sent.without_chunks() if "STATE" not in line and "TEXT" not in line
    ] == [
        *("START 3", "END 3", "START 4", "END 4"),
    ]
    assert room.heard == ["live-001#2", "live-001#3", "live-001#4"]


async def test_the_older_dialect_gets_text_and_file_at_once_and_nobody_waits_for_an_ear(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session, legacy=True)
    await room.voiced(1, 3_000)
    await room.voiced(2, 3_000)
    await asyncio.sleep(0.1)
    file = b"".join(raw for raw in sent if isinstance(raw, bytes))
    assert file == wav(3_000) * 2
    assert sent.told() == ["success 今晚玩解谜", *["audio_chunk"] * 3, "audio_complete"] * 2
    assert room.heard == ["live-001#1", "live-001#2"]


async def test_both_dialects_hear_the_same_answer(room: "Room", listen: "Listen") -> None:
    _, older = await listen(room.session, legacy=True)
    _, newer = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.05)
    assert older.told() == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
    await asyncio.sleep(2)
    assert newer.without_chunks()[-2:] == ["END 1", "STATE IDLE"]
    assert older == []
    assert room.heard == ["live-001#1"]


async def test_a_late_viewer_joins_at_the_live_position_and_a_late_older_one_gets_the_file(
    room: "Room", listen: "Listen"
) -> None:
    await listen(room.session)
    await room.voiced(1, 4_000)
    await asyncio.sleep(2.021)
    _, late = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    await asyncio.sleep(0.001)
    seen = late.told()
    assert seen[:4] == ["START 1", "STATE SPEAKING", "TEXT 今晚玩解谜", "CHUNK 50"]
    assert older.told()[0] == "success 今晚玩解谜"
    await asyncio.sleep(5)
    assert older == []


async def test_an_older_viewer_that_comes_back_is_not_told_twice(
    room: "Room", listen: "Listen"
) -> None:
    await listen(room.session)
    first, sent = await listen(room.session, legacy=True)
    await room.voiced(1, 4_000)
    await asyncio.sleep(0.5)
    assert len(sent.told()) > 2
    room.session.leave(first)
    _, again = await listen(room.session, legacy=True)
    await asyncio.sleep(8)
    assert again == []


async def test_without_its_file_an_answer_is_text(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.player.on_response(response(1, blob="f" * 32))
    await asyncio.sleep(0.1)
    room.post.blobs.down = True
    await room.voiced(2)
    await asyncio.sleep(0.1)
    room.post.blobs.down = False
    room.player.on_response(response(3, blob=await room.post.blobs.put(b"not a WAV")))
    await asyncio.sleep(0.1)
    room.player.on_response(response(4, code="TTS_SYNTHESIS_FAILED"))
    await asyncio.sleep(0.1)
    room.player.on_response(response(5))
    await asyncio.sleep(0.1)
    told = sent.told()
    assert told.pop(0) == "STATE IDLE"
    for turn in range(1, 5):
        assert told[:6] == [
            *(
                f"START {turn}",
                "STATE THINKING",
                "TEXT 今晚玩解谜",
                "ERROR voice_missing",
                f"END {turn}",
                "STATE IDLE",
            ),
        ]
        del told[:6]
    assert told == ["START 5", "STATE THINKING", "TEXT 今晚玩解谜", "END 5", "STATE IDLE"]
    assert older.told() == ["success 今晚玩解谜"] * 5
    assert len(room.heard) == 5


async def test_an_error_is_told_in_both_dialects_and_the_phase_goes_back(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1)
    await asyncio.sleep(0.1)
    sent.clear()
    room.player.on_response(response(1, error="no answer came within 30 s", code="legacy_timeout"))
    await asyncio.sleep(0.1)
    assert sent.told() == ["ERROR legacy_timeout", "STATE IDLE"]
    assert older.told() == ["error no answer came within 30 s"]
    assert room.heard == ["live-001#1"]
    room.player.on_response(response(None, error="nothing was heard", code="nothing_heard"))
    await asyncio.sleep(0.1)
    assert sent.told() == ["ERROR nothing_heard"]


async def test_an_answer_that_names_no_turn_reaches_only_the_older_dialect(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.player.on_response(response(None, blob=await room.post.voice(100)))
    await asyncio.sleep(0.1)
    assert sent.told() == ["STATE IDLE"]
    assert older.told() == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
