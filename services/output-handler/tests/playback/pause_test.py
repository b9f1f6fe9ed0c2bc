"""A turn is paused where it is heard, and goes on from there; in virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import PlaybackControl
from output_handler.errors import BargeInOff
from output_handler.playback.session import MAX_PAUSE_S
from output_handler.testing.session_driver import SessionDriver, new_frames
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime


def to_engine(stage: SessionDriver) -> list[str]:
    return [json.loads(raw)["action"] for raw in stage.to_engine]


async def test_a_pause_stands_still_where_it_is_heard_and_goes_on_from_there(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    await asyncio.sleep(0.3)
    await new_frames(sent)
    view = stage.session.turn
    assert view is not None
    began = view.audio_started_at_ms
    assert began is not None
    assert stage.session.request_pause("PAUSE", None)
    assert not stage.session.request_pause("PAUSE", 1), "once is enough"
    stage.chunks(25, 26)
    stage.end()
    await asyncio.sleep(2)
    assert view.position_ms(stage.session.clock()) == pytest.approx(300)
    assert await new_frames(sent) == ["PAUSE 1", "CHUNK 25", "CHUNK 26", "END 1"], (
        "what comes meanwhile waits at the viewers"
    )
    assert stage.session.request_pause("RESUME", 1)
    assert view.audio_started_at_ms == pytest.approx(began + 2_000)
    assert await new_frames(sent) == ["RESUME 1", "STATE SPEAKING"]
    assert to_engine(stage) == ["PAUSE", "RESUME"]
    await asyncio.sleep(0.7)
    assert await new_frames(sent) == []
    await asyncio.sleep(0.1)
    assert await new_frames(sent) == ["STATE IDLE"], (
        "27 chunks of 40 ms, of which 300 ms were heard before"
    )


async def test_what_is_paused_can_be_stopped(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 9)
    stage.session.request_pause("PAUSE", None)
    await new_frames(sent)
    assert stage.session.stop(None, "speech")
    assert not stage.session.request_pause("RESUME", None)
    assert await new_frames(sent) == ["STOP 1", "STATE INTERRUPTED"]


async def test_only_a_turn_that_sounds_and_may_be_interrupted_is_paused(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    assert not stage.session.request_pause("PAUSE", None)
    stage.start(flags=FlagSet(SYNC_TTS_STREAMING=True))
    stage.chunks(0, 9)
    assert not stage.session.request_pause("PAUSE", 7)
    with pytest.raises(BargeInOff):
        stage.session.request_pause("PAUSE", None)
    assert not stage.to_engine


async def test_a_pause_that_nobody_ends_ends_itself(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 9)
    stage.session.request_pause("PAUSE", None)
    await asyncio.sleep(MAX_PAUSE_S + 0.1)
    assert (await new_frames(sent))[-2:] == ["RESUME 1", "STATE SPEAKING"]
    assert to_engine(stage) == ["PAUSE", "RESUME"]


async def test_another_output_handler_paused_it_and_the_engine_says_so(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 9)
    await new_frames(sent)
    for action in ("PAUSE", "PAUSE", "RESUME"):
        frame = PlaybackControl.model_validate(
            {"action": action, "sessionId": "live-001", "turn": 1}
        )
        stage.session.on_frame(frame, frame.to_json())
    assert await new_frames(sent) == ["PAUSE 1", "RESUME 1", "STATE SPEAKING"]
    assert stage.to_engine == [], "it knows"


async def test_whoever_joins_a_paused_turn_waits_with_it(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.chunks(0, 9)
    await asyncio.sleep(0.1)
    stage.session.request_pause("PAUSE", None)
    await asyncio.sleep(1)
    _, late = await listen(stage.session)
    story = await new_frames(late)
    assert story[-1] == "PAUSE 1"
    assert "CHUNK 2" in story
    assert "CHUNK 1" not in story


async def test_the_next_turn_is_not_paused(stage: SessionDriver, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 9)
    stage.session.request_pause("PAUSE", None)
    stage.stop_ack()
    stage.start(2)
    stage.chunks(0, 9, turn=2)
    await new_frames(sent)
    await asyncio.sleep(MAX_PAUSE_S + 1)
    assert "RESUME 2" not in await new_frames(sent)


async def test_one_that_was_paused_before_it_sounded_begins_at_its_beginning(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    assert stage.session.request_pause("PAUSE", None)
    await asyncio.sleep(1)
    stage.chunks(0, 9)
    await asyncio.sleep(1)
    view = stage.session.turn
    assert view is not None
    assert view.position_ms(stage.session.clock()) == 0
    stage.session.request_pause("RESUME", None)
    assert view.position_ms(stage.session.clock()) == 0
    await asyncio.sleep(0.1)
    assert view.position_ms(stage.session.clock()) == pytest.approx(100)
