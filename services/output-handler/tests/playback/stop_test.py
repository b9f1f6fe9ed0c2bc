"""STOP silences at once, once, and only the turn it means."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from output_handler.errors import BargeInOff
from output_handler.testing.session_driver import SessionDriver, new_frames
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime


async def test_stop_silences_at_once_and_nothing_of_the_turn_follows(
    stage: SessionDriver, listen: Listen
) -> None:
    viewer, sent = await listen(stage.session)
    stage.start()
    stage.text("今晚我们玩解谜")
    stage.chunks(0, 4)
    await new_frames(sent)
    viewer.send_audio(stage.session.turn.recent[0])
    assert stage.session.stop(None, "viewer")
    stage.chunks(5, 9)
    stage.text("游戏", 7)
    assert await new_frames(sent) == ["STOP 1", "STATE INTERRUPTED"]
    assert [json.loads(raw) for raw in stage.to_engine] == [
        {
            "type": "CONTROL",
            "action": "STOP",
            "sessionId": "live-001",
            "turn": 1,
            "reason": "viewer",
        }
    ]
    stage.stop_ack(played="今晚")
    stage.end()
    stage.chunks(10, 10)
    assert await new_frames(sent) == ["STOP_ACK 1"]
    await asyncio.sleep(1)
    assert await new_frames(sent) == ["STATE IDLE"]


async def test_stop_is_idempotent_and_means_only_its_turn(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    assert not stage.session.stop(None, "x")
    stage.start(3)
    assert not stage.session.stop(2, "x")
    assert not stage.session.stop(4, "x")
    assert stage.session.stop(3, "x")
    assert not stage.session.stop(3, "x")
    assert not stage.session.stop(None, "x")
    assert len(stage.to_engine) == 1


async def test_stop_still_silences_what_was_sent_but_not_yet_heard(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    stage.end()
    await asyncio.sleep(0.5)
    await new_frames(sent)
    assert stage.session.stop(None, "x")
    assert await new_frames(sent) == ["STOP 1", "STATE INTERRUPTED"]
    await asyncio.sleep(3)
    assert not stage.session.stop(None, "x")


async def test_nothing_sounds_once_everything_was_heard(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.end()
    await asyncio.sleep(0.3)
    assert not stage.session.stop(None, "x")
    assert stage.to_engine == []


async def test_without_barge_in_stop_is_refused_and_speech_goes_on(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start(flags=FlagSet(SYNC_TTS_STREAMING=True))
    stage.chunks(0, 0)
    with pytest.raises(BargeInOff):
        stage.session.stop(None, "x")
    stage.chunks(1, 1)
    assert (await new_frames(sent))[-2:] == ["CHUNK 0", "CHUNK 1"]
    assert stage.to_engine == []


async def test_an_engine_that_stops_by_itself_flushes_the_viewers(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    await new_frames(sent)
    stage.stop_ack(played="今")
    assert await new_frames(sent) == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
    assert stage.to_engine == []


async def test_an_engine_that_stops_before_a_word_leaves_no_trace_of_interruption(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    await new_frames(sent)
    stage.stop_ack()
    await asyncio.sleep(0.01)
    assert await new_frames(sent) == ["STOP_ACK 1", "STATE IDLE"]


async def test_an_engine_that_never_confirms_does_not_leave_the_session_interrupted(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.session.stop(None, "x")
    await new_frames(sent)
    await asyncio.sleep(2)
    assert await new_frames(sent) == ["STATE IDLE"]


async def test_a_late_viewer_of_a_stopped_turn_hears_nothing_of_it(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚我们")
    stage.chunks(0, 24)
    stage.session.stop(None, "x")
    stage.stop_ack(played="今")
    _, late = await listen(stage.session)
    assert await new_frames(late) == ["START 1", "STATE INTERRUPTED", "TEXT 今"]


@pytest.mark.parametrize("engine_acknowledges", [True, False])
async def test_a_stopped_turn_that_was_given_to_another_engine_stays_silent(
    stage: SessionDriver, listen: Listen, engine_acknowledges: bool
) -> None:
    """It moved, or was asked again, while it was being stopped."""
    _, sent = await listen(stage.session)
    stage.start(7)
    assert stage.session.stop(None, "viewer")
    if engine_acknowledges:
        stage.stop_ack(7, played="")
    await new_frames(sent)
    for epoch in (1, 2):
        stage.start(7, epoch=epoch)
        stage.text("今晚", turn=7)
        stage.chunks(0, 3, turn=7)
        stage.end(7)
    assert [
        line for line in await new_frames(sent) if line not in ("STATE IDLE", "STOP_ACK 7")
    ] == []
    stage.start(8, epoch=2)
    stage.chunks(0, 0, turn=8)
    assert (await new_frames(sent))[-3:] == ["STATE THINKING", "STATE SPEAKING", "CHUNK 0"]


async def test_a_turn_that_its_engine_took_back_may_be_begun_again(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start(7)
    stage.stop_ack(7)
    stage.start(7, epoch=2)
    stage.chunks(0, 0, turn=7)
    assert (await new_frames(sent))[-1] == "CHUNK 0"
