"""With barge-in off, a voice file is heard to its end whatever an engine says next.

That comes after it, whole and in order.
"""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_contracts.http import FlagSet
from dialog_telemetry import metrics
from output_handler.legacy import deferred_turns
from output_handler.testing.session_driver import FLAGS

if TYPE_CHECKING:
    from conftest import Listen, Room

pytestmark = pytest.mark.looptime

WHOLE_FILES = FlagSet()


def told_by_engine(room: "Room", turn: int, text: str, flags: FlagSet = WHOLE_FILES) -> None:
    room.stage.start(turn, flags=flags)
    room.stage.text(text, eos=True, turn=turn)
    room.stage.end(turn, voice_follows=True)


async def test_a_second_message_neither_cuts_the_first_voice_nor_comes_before_it(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    told_by_engine(room, 1, "one")
    await asyncio.sleep(0.5)
    told_by_engine(room, 2, "two")
    await room.voiced(2, 400, of_engine=True)
    await asyncio.sleep(1)
    assert sent.told() == ["STATE IDLE", "START 1", "STATE THINKING", "TEXT one"], (
        "the first one's voice is still to come"
    )
    await room.voiced(1, 1_000, of_engine=True)
    await asyncio.sleep(0.9)
    assert "START 2" not in sent.without_chunks()
    await asyncio.sleep(2)
    assert sent.without_chunks() == [
        *(
            "STATE IDLE",
            "START 2",
            "STATE THINKING",
            "TEXT two",
            "STATE SPEAKING",
            "END 2",
            "STATE IDLE",
        ),
    ]
    assert older.told() == [
        *("success one", "audio_chunk", "audio_complete"),
        *("success two", "audio_chunk", "audio_complete"),
    ]
    assert room.heard == ["live-001#1", "live-001#2"]


async def test_speech_that_streams_waits_for_the_file_too_and_loses_no_chunk(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.2)
    room.stage.start(2, flags=FLAGS)
    room.stage.text("two", turn=2)
    room.stage.chunks(0, 9, turn=2)
    room.stage.end(2)
    await asyncio.sleep(0.5)
    assert "START 2" not in sent.without_chunks()
    await asyncio.sleep(2)
    after = sent.told()
    after = after[after.index("START 2") :]
    assert [line for line in after if line.startswith("CHUNK")] == [
        f"CHUNK {seq}" for seq in range(10)
    ]
    assert after[-2:] == ["END 2", "STATE IDLE"]


async def test_a_voice_that_never_comes_is_waited_for_as_long_as_any(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    told_by_engine(room, 1, "one")
    told_by_engine(room, 2, "two")
    await asyncio.sleep(29)
    assert "START 2" not in sent.told()
    await room.voiced(2, 200, of_engine=True)
    await asyncio.sleep(3)
    assert sent.without_chunks() == [
        *("ERROR voice_missing", "END 1", "STATE IDLE", "START 2", "STATE THINKING", "TEXT two"),
        *("STATE SPEAKING", "END 2", "STATE IDLE"),
    ]


async def test_an_engine_that_dies_while_its_turn_waits_is_told_when_that_turns_time_has_come(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.2)
    room.stage.start(2, flags=FLAGS)
    room.stage.text("tw", turn=2)
    room.session.engine_lost()
    await asyncio.sleep(0.2)
    assert "ERROR engine_lost" not in sent.told()
    await asyncio.sleep(2)
    assert sent.without_chunks() == [
        *("STATE IDLE", "START 2", "STATE THINKING", "TEXT tw", "ERROR engine_lost", "STATE IDLE"),
    ], "END 1 was sent while its end still sounded"


async def test_a_turn_of_the_next_engine_behind_a_lost_one_is_whole(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 1_000)
    await asyncio.sleep(0.2)
    room.stage.start(2, flags=FLAGS)
    room.stage.text("tw", turn=2)
    room.session.engine_lost()
    room.stage.start(3, epoch=2, flags=FLAGS)
    room.stage.text("three", eos=True, turn=3)
    room.stage.chunks(0, 9, turn=3)
    await asyncio.sleep(1)
    room.stage.end(3)
    await asyncio.sleep(1)
    told = [
        line for line in sent.without_chunks() if line.startswith(("START", "TEXT", "ERROR", "END"))
    ]
    assert told[told.index("START 2") :] == [
        "START 2",
        "TEXT tw",
        "ERROR engine_lost",
        "START 3",
        "TEXT three",
        "END 3",
    ]


async def test_what_waits_is_bounded_and_its_end_is_counted(
    room: "Room", listen: "Listen", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_turns, "MAX_DEFERRED_FRAMES", 5)
    before = metrics.DEFERRED_TURNS_OVERFLOW._value.get()
    _, sent = await listen(room.session)
    await room.voiced(1, 60_000)
    await asyncio.sleep(0.2)
    sent.clear()
    room.stage.start(2, flags=FLAGS)
    room.stage.chunks(0, 5, turn=2)
    await asyncio.sleep(0.1)
    assert sent.told()[:4] == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1", "START 2"]
    assert metrics.DEFERRED_TURNS_OVERFLOW._value.get() == before + 1
    assert not room.session.has_deferred_turns


async def test_with_barge_in_the_file_ends_at_once(room: "Room", listen: "Listen") -> None:
    _, sent = await listen(room.session)
    await room.voiced(1, 5_000, flags=FLAGS)
    await asyncio.sleep(0.5)
    sent.clear()
    room.stage.start(2)
    await asyncio.sleep(0.01)
    assert sent.told()[0] == "STOP 1"
