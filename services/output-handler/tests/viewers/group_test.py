"""Many viewers of one session.

Late ones, slow ones, binary ones, and clients of the older dialect.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.ingest import Played
from dialog_telemetry import metrics
from output_handler.testing.session_driver import SessionDriver, new_frames, transcript_of
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime


async def test_a_late_viewer_joins_at_the_live_position_with_the_text_so_far(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚")
    stage.text("我们", 2)
    stage.chunks(0, 24)
    await asyncio.sleep(0.81)
    _, late = await listen(stage.session)
    await asyncio.sleep(0)
    state = json.loads(late[1])
    assert state["startedAt"] == pytest.approx(0, abs=1)
    assert await new_frames(late) == [
        "START 1",
        "STATE SPEAKING",
        "TEXT 今晚我们",
        "CHUNK 20",
        "CHUNK 21",
        "CHUNK 22",
        "CHUNK 23",
        "CHUNK 24",
    ]


async def test_a_slow_viewer_delays_nobody(stage: SessionDriver, listen: Listen) -> None:
    gate = asyncio.Event()
    _, slow = await listen(stage.session, queue_ms=200, gate=gate)
    _, quick = await listen(stage.session, queue_ms=200)
    stage.start()
    for seq in range(100):
        stage.chunks(seq, seq)
        await asyncio.sleep(0)
    assert slow == []
    assert [line for line in await new_frames(quick) if line.startswith("CHUNK")] == [
        f"CHUNK {seq}" for seq in range(100)
    ]
    gate.set()
    caught_up = await new_frames(slow)
    assert "ERROR too_slow" in caught_up
    assert "START 1" in caught_up


async def test_binary_is_packed_once_and_only_when_somebody_wants_it(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    assert stage.session.turn.recent[-1].binary is None
    _, first = await listen(stage.session, binary=True)
    _, second = await listen(stage.session, binary=True)
    stage.chunks(1, 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert isinstance(first[-1], bytes)
    assert first[-1] is second[-1]


async def test_positions_are_passed_on_at_most_every_150_ms(
    stage: SessionDriver, listen: Listen
) -> None:
    viewer, _ = await listen(stage.session)
    await asyncio.sleep(1)
    stage.start()
    stage.chunks(0, 49)
    for offset in range(0, 1000, 10):
        stage.session.played(viewer, Played(session_id="live-001", turn=1, offset_ms=offset))
        await asyncio.sleep(0.01)
    stage.session.played(viewer, Played(session_id="live-001", turn=7, offset_ms=5))
    offsets = [json.loads(raw)["offsetMs"] for raw in stage.to_engine]
    assert 6 <= len(offsets) <= 7
    assert offsets[0] == 0
    assert all(later - earlier >= 150 for earlier, later in zip(offsets, offsets[1:], strict=False))


async def test_the_ear_is_the_speakers_and_positions_from_the_future_are_refused(
    stage: SessionDriver, listen: Listen
) -> None:
    viewers = [(await listen(stage.session))[0] for _ in range(4)]
    stage.start()
    stage.chunks(0, 49)
    refused = metrics.REQUESTS_REJECTED.labels(code="position_from_the_future")
    before = refused._value.get()
    await asyncio.sleep(1)
    for viewer, offset in zip(viewers, (700, 1900, 800, 900), strict=True):
        stage.session.played(viewer, Played(session_id="live-001", turn=1, offset_ms=offset))
    assert refused._value.get() == before + 1
    await asyncio.sleep(0.2)
    stage.session.played(viewers[3], Played(session_id="live-001", turn=1, offset_ms=1100))
    await asyncio.sleep(0.2)
    stage.session.played(
        viewers[0], Played(session_id="live-001", turn=1, offset_ms=1050, speaker=True)
    )
    assert [json.loads(raw)["offsetMs"] for raw in stage.to_engine] == [700, 1000, 1050], (
        "the first alone, the median, the speaker"
    )
    stage.session.leave(viewers[0])
    await asyncio.sleep(0.2)
    stage.session.played(viewers[2], Played(session_id="live-001", turn=1, offset_ms=1400))
    assert json.loads(stage.to_engine[-1])["offsetMs"] == 1400


async def test_viewers_are_counted_by_dialect(stage: SessionDriver, listen: Listen) -> None:
    gauge = metrics.VIEWERS.labels(dialect="vtuber.v2.bin")
    before = gauge._value.get()
    viewer, _ = await listen(stage.session, binary=True)
    assert gauge._value.get() == before + 1
    stage.session.leave(viewer)
    assert gauge._value.get() == before
    assert stage.session.viewers == set()


async def test_an_older_client_hears_a_turn_at_its_end_and_once(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 4)
    assert await new_frames(sent) == []
    stage.end()
    stage.session.stop(None, "x")
    stage.stop_ack(played="今")
    for _ in range(10):
        await asyncio.sleep(0)
    texts = [frame for frame in sent if isinstance(frame, str)]
    assert transcript_of(list(texts)) == ["success 今晚我们玩", "audio_chunk", "audio_complete"]


async def test_an_older_client_that_comes_late_still_gets_the_whole_turn(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 49)
    await asyncio.sleep(1.9)
    _, sent = await listen(stage.session, legacy=True)
    stage.chunks(50, 74)
    assert await new_frames(sent) == []
    stage.end()
    await asyncio.sleep(0.01)
    assert b"".join(raw for raw in sent if isinstance(raw, bytes))[44:] == bytes(75 * 1920)
    sent.clear()
    _, after_end = await listen(stage.session, legacy=True)
    await asyncio.sleep(0.01)
    assert json.loads(after_end[0])["content"] == "今晚我们玩"
    assert b"".join(raw for raw in after_end if isinstance(raw, bytes))[44:] == bytes(75 * 1920)
    await asyncio.sleep(2)
    _, too_late = await listen(stage.session, legacy=True)
    assert await new_frames(too_late) == []
    assert sent == []


async def test_an_older_client_that_comes_too_late_gets_the_rest(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚我们玩")
    for seq in range(100):
        stage.chunks(seq, seq)
        await asyncio.sleep(0.04)
    stage.chunks(100, 101)
    _, sent = await listen(stage.session, legacy=True)
    stage.end()
    _, none = await listen(stage.session, legacy=True)
    await asyncio.sleep(0.01)
    assert 2 * 1920 <= len(b"".join(raw for raw in sent if isinstance(raw, bytes))) - 44 <= 3 * 1920
    assert none == []


async def test_older_clients_share_one_copy_of_a_turns_sound(
    stage: SessionDriver, listen: Listen
) -> None:
    heard = [await listen(stage.session, legacy=True) for _ in range(3)]
    stage.start()
    stage.chunks(0, 49)
    _, late = await listen(stage.session, legacy=True)
    stage.chunks(50, 99)
    stage.end()
    await asyncio.sleep(0.01)
    slices = [
        [frame for frame in sent if isinstance(frame, bytes)]
        for sent in (*(sent for _, sent in heard), late)
    ]
    assert b"".join(slices[0])[44:] == bytes(100 * 1920)
    assert all(
        one is first for others in slices[1:] for one, first in zip(others, slices[0], strict=True)
    )


async def test_an_older_client_that_comes_when_the_others_have_left_has_no_hole_in_its_file(
    stage: SessionDriver, listen: Listen
) -> None:
    await listen(stage.session)
    first, _ = await listen(stage.session, legacy=True)
    stage.start()
    stage.chunks(0, 9)
    stage.session.leave(first)
    stage.chunks(10, 19)
    _, sent = await listen(stage.session, legacy=True)
    stage.chunks(20, 29)
    stage.end()
    await asyncio.sleep(0.01)
    assert b"".join(raw for raw in sent if isinstance(raw, bytes))[44:] == bytes(30 * 1920)


async def test_an_older_client_is_not_answered_by_an_engine_that_broke_off_before_a_word(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.stop_ack()
    assert await new_frames(sent) == []
    stage.start(2)
    stage.session.stop(None, "x")
    stage.stop_ack(turn=2)
    assert await new_frames(sent) == ["success"]


async def test_an_older_client_gets_only_the_heard_text_of_a_stopped_turn(
    stage: SessionDriver, listen: Listen
) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 4)
    stage.session.stop(None, "x")
    stage.stop_ack(played="今晚")
    for _ in range(10):
        await asyncio.sleep(0)
    assert [json.loads(frame) for frame in sent] == [
        {"status": "success", "task_id": "live-001", "content": "今晚", "audio_present": False}
    ]
