"""A session's phases, its clock, and which frames count, in virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from dialog_telemetry import metrics
from output_handler.testing.session_driver import SessionDriver, new_frames
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime


async def test_a_turn_goes_from_idle_over_thinking_and_speaking_to_idle(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    assert await new_frames(sent) == ["STATE IDLE"]
    await asyncio.sleep(1)
    stage.start()
    assert await new_frames(sent) == ["START 1", "STATE THINKING"]
    stage.text("今晚")
    stage.chunks(0, 1)
    stage.text("", 2, eos=True)
    stage.end()
    assert await new_frames(sent) == [
        "TEXT 今晚",
        "STATE SPEAKING",
        "CHUNK 0",
        "CHUNK 1",
        "TEXT",
        "END 1",
    ]


async def test_the_clock_of_a_turn_begins_with_its_first_chunk(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    await asyncio.sleep(1)
    stage.start()
    await asyncio.sleep(0.5)
    stage.chunks(0, 0)
    await asyncio.sleep(0.01)
    frames = [json.loads(raw) for raw in sent]
    starts = [frame["startedAt"] for frame in frames if frame.get("action") == "START"]
    states = {frame["phase"]: frame["startedAt"] for frame in frames if frame["type"] == "STATE"}
    assert starts == [pytest.approx(1000)]
    assert states["THINKING"] == pytest.approx(1000)
    assert states["SPEAKING"] == pytest.approx(1500)


async def test_idle_comes_when_the_last_chunk_was_heard_not_when_it_was_sent(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    stage.end()
    await new_frames(sent)
    await asyncio.sleep(0.95)
    assert await new_frames(sent) == []
    await asyncio.sleep(0.1)
    assert await new_frames(sent) == ["STATE IDLE"]


async def test_a_turn_without_sound_is_idle_at_its_end(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.text("好", eos=True)
    stage.end()
    await asyncio.sleep(0.01)
    assert (await new_frames(sent))[-1] == "STATE IDLE"


async def test_a_turn_without_anybody_to_play_files_ends_at_its_end(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start(flags=FlagSet())
    stage.text("好", eos=True)
    stage.end(voice_follows=True)
    await asyncio.sleep(0.01)
    assert (await new_frames(sent))[-2:] == ["END 1", "STATE IDLE"]


async def test_a_new_turn_cancels_the_idle_of_the_one_before(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.end()
    stage.start(2)
    await new_frames(sent)
    await asyncio.sleep(5)
    assert await new_frames(sent) == []


async def test_speech_that_comes_too_late_moves_the_clock_and_says_so(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    await new_frames(sent)
    await asyncio.sleep(0.3)
    stage.chunks(1, 2)
    await asyncio.sleep(0)
    moved = json.loads(next(raw for raw in sent if "STATE" in str(raw)))
    assert moved["startedAt"] == pytest.approx(260)
    assert await new_frames(sent) == ["STATE SPEAKING", "CHUNK 1", "CHUNK 2"]


async def test_missing_chunks_are_counted_and_reported(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    await new_frames(sent)
    gaps = metrics.CHUNK_GAPS._value.get()
    stage.chunks(3, 3)
    stage.chunks(2, 2)
    assert await new_frames(sent) == ["ERROR chunk_gap", "CHUNK 3"]
    assert metrics.CHUNK_GAPS._value.get() == gaps + 2


async def test_a_lost_engine_is_told_once_what_was_sent_still_sounds(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    _, older = await listen(stage.session, legacy=True)
    stage.start()
    stage.chunks(0, 24)
    await new_frames(sent)
    stage.session.engine_lost()
    stage.session.engine_lost()
    assert await new_frames(sent) == ["ERROR engine_lost"]
    assert [line.partition(" ")[0] for line in await new_frames(older)] == ["error"]
    await asyncio.sleep(0.9)
    assert await new_frames(sent) == []
    await asyncio.sleep(0.2)
    assert await new_frames(sent) == ["STATE IDLE"]


@pytest.mark.parametrize(("turn", "epoch"), [(4, 2), (9, 1), (1, 0)])
async def test_a_stale_start_changes_nothing(
    stage: SessionDriver, listen: Listen, turn: int, epoch: int
) -> None:
    _, sent = await listen(stage.session)
    stage.start(5, epoch=2)
    await new_frames(sent)
    stage.start(turn, epoch=epoch)
    assert await new_frames(sent) == []
    assert stage.session.turn.number == 5


async def test_a_new_epoch_may_begin_at_a_lower_turn(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start(5, epoch=2)
    await new_frames(sent)
    stage.start(5, epoch=3)
    stage.start(4, epoch=4)
    assert await new_frames(sent) == ["START 5", "STATE THINKING", "START 4", "STATE THINKING"]


async def test_a_turn_told_again_after_a_reconnect_is_no_new_turn(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.text("今晚")
    stage.session.engine_lost()
    await new_frames(sent)
    stage.start()
    stage.text("今晚我们")
    stage.chunks(0, 0)
    assert await new_frames(sent) == [
        "STATE THINKING",
        "TEXT 今晚我们",
        "STATE SPEAKING",
        "CHUNK 0",
    ]
    assert stage.session.turn.text == "今晚我们"


async def test_frames_of_another_turn_are_dropped(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.chunks(0, 0)
    stage.start(2)
    await new_frames(sent)
    stage.chunks(1, 1, turn=1)
    stage.text("old", turn=1)
    stage.end(turn=1)
    stage.stop_ack(turn=3)
    assert await new_frames(sent) == []


async def test_a_subscriber_in_mid_turn_takes_over_the_ears_position(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    await asyncio.sleep(10)
    stage.start(ear_ms=2_000)
    stage.chunks(55, 55)
    await asyncio.sleep(0)
    states = [json.loads(raw) for raw in sent if '"SPEAKING"' in str(raw)]
    assert [state["startedAt"] for state in states] == [pytest.approx(8_000)]


async def test_while_somebody_speaks_she_listens_and_a_turn_may_follow(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    await new_frames(sent)
    stage.session.user_speaking("mine", speaking=True)
    stage.session.user_speaking("mine", speaking=True)
    await asyncio.sleep(0.01)
    assert await new_frames(sent) == ["STATE LISTENING"]
    _, late = await listen(stage.session)
    assert await new_frames(late) == ["STATE LISTENING"]
    stage.session.user_speaking("mine", speaking=False)
    await asyncio.sleep(0.3)
    stage.start()
    await asyncio.sleep(1)
    assert await new_frames(sent) == ["START 1", "STATE THINKING"], "not idle in between"


async def test_of_two_who_speak_at_once_both_are_heard_out(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    await new_frames(sent)
    stage.session.user_speaking("mine", speaking=True)
    stage.session.user_speaking("yours", speaking=True)
    stage.session.user_speaking("mine", speaking=False)
    await asyncio.sleep(2)
    assert await new_frames(sent) == ["STATE LISTENING"]
    stage.session.user_speaking("yours", speaking=False)
    await asyncio.sleep(2)
    assert await new_frames(sent) == ["STATE IDLE"]


async def test_who_says_nothing_in_the_end_leaves_her_idle(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    await new_frames(sent)
    stage.session.user_speaking("mine", speaking=True)
    stage.session.user_speaking("mine", speaking=False)
    await asyncio.sleep(1)
    assert (await new_frames(sent))[-1] == "STATE IDLE"
    stage.session.user_speaking("mine", speaking=True)
    await asyncio.sleep(40)
    assert await new_frames(sent) == ["STATE LISTENING", "STATE IDLE"], "the microphone is gone"


async def test_who_cuts_in_is_listened_to_once_she_is_silent(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    await new_frames(sent)
    stage.session.user_speaking("mine", speaking=True)
    assert await new_frames(sent) == [], "she speaks"
    assert stage.session.stop(1, "speech")
    await asyncio.sleep(1)
    assert (await new_frames(sent))[-2:] == ["STATE INTERRUPTED", "STATE LISTENING"]
    await asyncio.sleep(40)
    assert await new_frames(sent) == ["STATE IDLE"]


async def test_a_microphone_that_is_gone_ends_no_turn(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.session.user_speaking("mine", speaking=True)
    stage.start()
    await new_frames(sent)
    await asyncio.sleep(40)
    assert await new_frames(sent) == []
