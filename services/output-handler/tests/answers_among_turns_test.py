"""A session has one voice at a time: answers of the chain, STOP, and turns of an engine."""

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from dialog_contracts.ingest import Stop
from dialog_telemetry import metrics
from output_handler.errors import BargeInOff
from output_handler.testing.session_driver import FLAGS

if TYPE_CHECKING:
    from conftest import Listen, Room

pytestmark = pytest.mark.looptime


async def test_stop_silences_a_file_at_once(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 5_000, flags=FLAGS)
    await asyncio.sleep(2.5)
    sent.clear()
    assert room.session.stop(None, "viewer")
    await asyncio.sleep(0.01)
    ack = json.loads(sent[2])
    assert (ack["action"], ack["heardText"]) == ("STOP_ACK", "今晚")
    assert sent.told() == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
    await asyncio.sleep(5)
    assert sent.told() == ["STATE IDLE"]
    assert room.stage.to_engine == []
    assert not room.session.stop(None, "viewer")
    assert room.heard == ["live-001#1"]


async def test_what_was_heard_of_a_file_is_told_by_the_one_who_cut_it_and_by_no_other(
    room: "Room", listen: "Listen"
) -> None:
    await listen(room.session)
    for turn in (1, 2, 3):
        await room.voiced(turn, 5_000, flags=FLAGS)
        await asyncio.sleep(2.5)
        if turn == 1:
            room.session.stop(None, "viewer")
        elif turn == 2:
            room.session.file_stopped(Stop(session_id="live-001", turn=2))
        else:
            room.stage.start(4)
        await asyncio.sleep(1)
    assert [(stop.turn, stop.heard_text) for stop in room.reported] == [(1, "今晚"), (3, "今晚")]


async def test_while_a_file_sounds_that_may_be_cut_off_whoever_begins_the_next_turn_can_know(
    room: "Room", listen: "Listen"
) -> None:
    events = room.post.active_playback.events
    await listen(room.session)
    await room.voiced(1, 2_000, flags=FLAGS)
    await asyncio.sleep(1.9)
    assert events == [("begins", 1)]
    await asyncio.sleep(0.3)
    assert events == [("begins", 1), ("over", 1)], (
        "to its last sound, not to the last chunk that was sent"
    )
    await room.voiced(2, 2_000, flags=FLAGS)
    await asyncio.sleep(1)
    room.stage.start(3)
    await asyncio.sleep(1)
    assert events[2:] == [("begins", 2)], "of one that is cut it is over when its words are filed"
    room.stage.end(3)
    await room.voiced(4, 1_000)
    await asyncio.sleep(2)
    assert events[3:] == [], "without barge-in nothing can cut it"


async def test_stop_without_barge_in_is_refused_and_the_file_goes_on(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.2)
    with pytest.raises(BargeInOff):
        room.session.stop(None, "viewer")
    await asyncio.sleep(2)
    assert sent.without_chunks()[-2:] == ["END 1", "STATE IDLE"]


async def test_a_newer_turn_of_an_engine_ends_the_file(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 5_000, flags=FLAGS)
    await asyncio.sleep(1)
    sent.clear()
    room.stage.start(2)
    room.stage.chunks(0, 0, turn=2)
    await asyncio.sleep(2)
    assert sent.told() == [
        *(
            "STOP 1",
            "STATE INTERRUPTED",
            "STOP_ACK 1",
            "START 2",
            "STATE THINKING",
            "STATE SPEAKING",
            "CHUNK 0",
        ),
    ]


async def test_nothing_of_an_engine_that_lost_its_turn_reaches_the_viewers(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1)
    await asyncio.sleep(0.5)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.1)
    assert [line for line in sent.without_chunks() if "START" in line] == ["START 1", "START 1"]
    room.stage.stop_ack(1)
    room.stage.text("late", turn=1)
    room.stage.end(1)
    room.stage.start(1)
    room.stage.start(1, epoch=2)
    room.session.engine_lost()
    await asyncio.sleep(2)
    assert sent.without_chunks() == ["END 1", "STATE IDLE"]


async def test_an_engine_that_broke_off_before_a_word_leaves_the_answer_to_the_chain(
    room: "Room", listen: "Listen"
) -> None:
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1)
    room.stage.stop_ack(1)
    await asyncio.sleep(0.1)
    assert older == []
    await room.voiced(1, 200)
    await asyncio.sleep(0.1)
    assert older.told() == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]


async def test_an_answer_of_an_older_turn_is_text_for_the_older_dialect_alone(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    late = metrics.LEGACY_RESPONSES.labels(outcome="late")
    before = late._value.get()
    room.stage.start(5)
    room.stage.text("新的", turn=5)
    room.stage.chunks(0, 4, turn=5)
    await asyncio.sleep(0.01)
    sent.clear()
    await room.voiced(4, 500, text="旧的")
    await asyncio.sleep(1)
    assert sent == []
    assert older.told() == ["success 旧的"]
    assert late._value.get() == before + 1
    assert room.heard == ["live-001#4"]
    room.stage.end(5)
    await asyncio.sleep(0.01)
    assert older.told() == ["success 新的", "audio_chunk", "audio_complete"], (
        "what was collected of turn 5 is still there"
    )


async def test_a_newer_answer_waits_until_the_engines_speech_was_heard(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1)
    room.stage.chunks(0, 49)
    room.stage.end(1)
    await room.voiced(2, 200)
    await asyncio.sleep(1.9)
    assert not [line for line in sent.told() if line == "START 2"]
    await asyncio.sleep(0.2)
    assert "START 2" in sent.told()


@pytest.mark.parametrize("engine_acknowledges", [True, False])
async def test_a_turn_that_was_stopped_before_its_first_word_is_not_spoken_by_the_chain(
    room: "Room", listen: "Listen", engine_acknowledges: bool
) -> None:
    """It fell back while it was being stopped. Before: 22 chunks of it after its STOP_ACK."""
    _, sent = await listen(room.session)
    room.stage.start(7)
    assert room.session.stop(None, "viewer")
    if engine_acknowledges:
        room.stage.stop_ack(7, played="")
    await asyncio.sleep(0.01)
    sent.told()
    await room.voiced(7, 2_000, flags=FLAGS)
    await asyncio.sleep(5)
    assert [line for line in sent.told() if not line.startswith("STATE IDLE")] == []
    assert room.heard == ["live-001#7"], "nobody is told it later either"
    await room.voiced(8, 1_000, flags=FLAGS)
    await asyncio.sleep(3)
    assert "START 8" in sent.told()
