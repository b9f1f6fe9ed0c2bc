import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Played
from dialog_telemetry import metrics
from output_handler.errors import BargeInOff
from output_handler.session import Session
from output_handler.testing.stage import Stage, now_ms, story, told
from output_handler.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
pytestmark = pytest.mark.looptime


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    to_engine: list[str] = []
    made = Stage(Session("live-001", now_ms, to_engine.append), to_engine)
    yield made
    made.session.close()


async def test_a_turn_goes_from_idle_over_thinking_and_speaking_to_idle(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    assert await told(sent) == ["STATE IDLE"]
    await asyncio.sleep(1)
    stage.start()
    assert await told(sent) == ["START 1", "STATE THINKING"]
    stage.text("今晚")
    stage.chunks(0, 1)
    stage.text("", 2, eos=True)
    stage.end()
    assert await told(sent) == ["TEXT 今晚", "STATE SPEAKING", "CHUNK 0", "CHUNK 1", "TEXT", "END 1"]


async def test_the_clock_of_a_turn_begins_with_its_first_chunk(stage: Stage, listen: Listen) -> None:
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


async def test_idle_comes_when_the_last_chunk_was_heard_not_when_it_was_sent(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    stage.end()
    await told(sent)
    await asyncio.sleep(0.95)
    assert await told(sent) == []
    await asyncio.sleep(0.1)
    assert await told(sent) == ["STATE IDLE"]


async def test_a_turn_without_sound_is_idle_at_its_end(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.text("好", eos=True)
    stage.end()
    await asyncio.sleep(0.01)
    assert (await told(sent))[-1] == "STATE IDLE"


async def test_a_new_turn_cancels_the_idle_of_the_one_before(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.end()
    stage.start(2)
    await told(sent)
    await asyncio.sleep(5)
    assert await told(sent) == []


async def test_speech_that_comes_too_late_moves_the_clock_and_says_so(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    await told(sent)
    await asyncio.sleep(0.3)
    stage.chunks(1, 2)
    await asyncio.sleep(0)
    moved = json.loads(next(raw for raw in sent if "STATE" in str(raw)))
    assert moved["startedAt"] == pytest.approx(260)
    assert await told(sent) == ["STATE SPEAKING", "CHUNK 1", "CHUNK 2"]


async def test_missing_chunks_are_counted_and_reported(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    await told(sent)
    gaps = metrics.CHUNK_GAPS._value.get()
    stage.chunks(3, 3)
    stage.chunks(2, 2)
    assert await told(sent) == ["ERROR chunk_gap", "CHUNK 3"]
    assert metrics.CHUNK_GAPS._value.get() == gaps + 2


async def test_stop_silences_at_once_and_nothing_of_the_turn_follows(stage: Stage, listen: Listen) -> None:
    viewer, sent = await listen(stage.session)
    stage.start()
    stage.text("今晚我们玩解谜")
    stage.chunks(0, 4)
    await told(sent)
    assert stage.session.view is not None
    viewer.offer_sound(stage.session.view.recent[0])
    assert stage.session.stop(None, "viewer")
    stage.chunks(5, 9)
    stage.text("游戏", 7)
    assert await told(sent) == ["STOP 1", "STATE INTERRUPTED"]
    assert [json.loads(raw) for raw in stage.to_engine] == [
        {"type": "CONTROL", "action": "STOP", "sessionId": "live-001", "turn": 1, "reason": "viewer"}
    ]
    stage.stop_ack(heard="今晚")
    stage.end()
    stage.chunks(10, 10)
    assert await told(sent) == ["STOP_ACK 1"]
    await asyncio.sleep(1)
    assert await told(sent) == ["STATE IDLE"]


async def test_stop_is_idempotent_and_means_only_its_turn(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    assert not stage.session.stop(None, "x")
    stage.start(3)
    assert not stage.session.stop(2, "x")
    assert not stage.session.stop(4, "x")
    assert stage.session.stop(3, "x")
    assert not stage.session.stop(3, "x")
    assert not stage.session.stop(None, "x")
    assert len(stage.to_engine) == 1


async def test_stop_still_silences_what_was_sent_but_not_yet_heard(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 24)
    stage.end()
    await asyncio.sleep(0.5)
    await told(sent)
    assert stage.session.stop(None, "x")
    assert await told(sent) == ["STOP 1", "STATE INTERRUPTED"]
    await asyncio.sleep(3)
    assert not stage.session.stop(None, "x")


async def test_nothing_sounds_once_everything_was_heard(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.end()
    await asyncio.sleep(0.3)
    assert not stage.session.stop(None, "x")
    assert stage.to_engine == []


async def test_without_barge_in_stop_is_refused_and_speech_goes_on(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start(flags=FlagSet(SYNC_TTS_STREAMING=True))
    stage.chunks(0, 0)
    with pytest.raises(BargeInOff):
        stage.session.stop(None, "x")
    stage.chunks(1, 1)
    assert (await told(sent))[-2:] == ["CHUNK 0", "CHUNK 1"]
    assert stage.to_engine == []


async def test_an_engine_that_stops_by_itself_flushes_the_viewers(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    await told(sent)
    stage.stop_ack(heard="今")
    assert await told(sent) == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
    assert stage.to_engine == []


async def test_an_engine_that_stops_before_a_word_leaves_no_trace_of_interruption(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    await told(sent)
    stage.stop_ack()
    await asyncio.sleep(0.01)
    assert await told(sent) == ["STOP_ACK 1", "STATE IDLE"]


async def test_an_engine_that_never_confirms_does_not_leave_the_session_interrupted(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.chunks(0, 4)
    stage.session.stop(None, "x")
    await told(sent)
    await asyncio.sleep(2)
    assert await told(sent) == ["STATE IDLE"]


async def test_a_lost_engine_is_told_once_what_was_sent_still_sounds(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    _, older = await listen(stage.session, legacy=True)
    stage.start()
    stage.chunks(0, 24)
    await told(sent)
    stage.session.engine_lost()
    stage.session.engine_lost()
    assert await told(sent) == ["ERROR engine_lost"]
    assert [line.partition(" ")[0] for line in await told(older)] == ["error"]
    await asyncio.sleep(0.9)
    assert await told(sent) == []
    await asyncio.sleep(0.2)
    assert await told(sent) == ["STATE IDLE"]


@pytest.mark.parametrize(("turn", "epoch"), [(4, 2), (9, 1), (1, 0)])
async def test_a_stale_start_changes_nothing(stage: Stage, listen: Listen, turn: int, epoch: int) -> None:
    _, sent = await listen(stage.session)
    stage.start(5, epoch=2)
    await told(sent)
    stage.start(turn, epoch=epoch)
    assert await told(sent) == []
    assert stage.session.view is not None
    assert stage.session.view.turn == 5


async def test_a_new_epoch_may_begin_at_a_lower_turn(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start(5, epoch=2)
    await told(sent)
    stage.start(5, epoch=3)
    stage.start(4, epoch=4)
    assert await told(sent) == ["START 5", "STATE THINKING", "START 4", "STATE THINKING"]


async def test_a_turn_told_again_after_a_reconnect_is_no_new_turn(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start()
    stage.text("今晚")
    stage.session.engine_lost()
    await told(sent)
    stage.start()
    stage.text("今晚我们")
    stage.chunks(0, 0)
    assert await told(sent) == ["TEXT 今晚我们", "STATE SPEAKING", "CHUNK 0"]
    assert stage.session.view is not None
    assert stage.session.view.text == "今晚我们"


async def test_frames_of_another_turn_are_dropped(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.chunks(0, 0)
    stage.start(2)
    await told(sent)
    stage.chunks(1, 1, turn=1)
    stage.text("old", turn=1)
    stage.end(turn=1)
    stage.stop_ack(turn=3)
    assert await told(sent) == []


async def test_a_late_viewer_joins_at_the_live_position_with_the_text_so_far(stage: Stage, listen: Listen) -> None:
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
    assert await told(late) == [
        "START 1",
        "STATE SPEAKING",
        "TEXT 今晚我们",
        "CHUNK 20",
        "CHUNK 21",
        "CHUNK 22",
        "CHUNK 23",
        "CHUNK 24",
    ]


async def test_a_late_viewer_of_a_stopped_turn_hears_nothing_of_it(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚我们")
    stage.chunks(0, 24)
    stage.session.stop(None, "x")
    stage.stop_ack(heard="今")
    _, late = await listen(stage.session)
    assert await told(late) == ["START 1", "STATE INTERRUPTED", "TEXT 今"]


async def test_a_subscriber_in_mid_turn_takes_over_the_ears_position(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    await asyncio.sleep(10)
    stage.start(ear_ms=2_000)
    stage.chunks(55, 55)
    await asyncio.sleep(0)
    states = [json.loads(raw) for raw in sent if '"SPEAKING"' in str(raw)]
    assert [state["startedAt"] for state in states] == [pytest.approx(8_000)]


async def test_positions_are_passed_on_at_most_every_150_ms(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    await asyncio.sleep(1)
    stage.start()
    for offset in range(0, 1000, 10):
        stage.session.played(Played(session_id="live-001", turn=1, offset_ms=offset))
        await asyncio.sleep(0.01)
    stage.session.played(Played(session_id="live-001", turn=7, offset_ms=5))
    offsets = [json.loads(raw)["offsetMs"] for raw in stage.to_engine]
    assert 6 <= len(offsets) <= 7
    assert offsets[0] == 0
    assert all(later - earlier >= 150 for earlier, later in zip(offsets, offsets[1:], strict=False))


async def test_a_slow_viewer_delays_nobody(stage: Stage, listen: Listen) -> None:
    gate = asyncio.Event()
    _, slow = await listen(stage.session, queue_ms=200, gate=gate)
    _, quick = await listen(stage.session, queue_ms=200)
    stage.start()
    for seq in range(100):
        stage.chunks(seq, seq)
        await asyncio.sleep(0)
    assert slow == []
    assert [line for line in await told(quick) if line.startswith("CHUNK")] == [f"CHUNK {seq}" for seq in range(100)]
    gate.set()
    caught_up = await told(slow)
    assert "ERROR too_slow" in caught_up
    assert "START 1" in caught_up


async def test_binary_is_packed_once_and_only_when_somebody_wants_it(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    stage.start()
    stage.chunks(0, 0)
    assert stage.session.view is not None
    assert stage.session.view.recent[-1].binary is None
    _, first = await listen(stage.session, binary=True)
    _, second = await listen(stage.session, binary=True)
    stage.chunks(1, 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert isinstance(first[-1], bytes)
    assert first[-1] is second[-1]


async def test_an_older_client_hears_a_turn_at_its_end_and_once(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 4)
    assert await told(sent) == []
    stage.end()
    stage.session.stop(None, "x")
    stage.stop_ack(heard="今")
    for _ in range(10):
        await asyncio.sleep(0)
    texts = [frame for frame in sent if isinstance(frame, str)]
    assert story(list(texts)) == ["success 今晚我们玩", "audio_chunk", "audio_complete"]


async def test_an_older_client_that_comes_late_still_gets_the_whole_turn(stage: Stage, listen: Listen) -> None:
    await listen(stage.session)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 49)
    await asyncio.sleep(1.9)
    _, sent = await listen(stage.session, legacy=True)
    stage.chunks(50, 74)
    assert await told(sent) == []
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
    assert await told(too_late) == []
    assert sent == []


async def test_an_older_client_that_comes_too_late_gets_the_rest(stage: Stage, listen: Listen) -> None:
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


async def test_an_older_client_is_not_answered_by_an_engine_that_broke_off_before_a_word(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.stop_ack()
    assert await told(sent) == []
    stage.start(2)
    stage.session.stop(None, "x")
    stage.stop_ack(turn=2)
    assert await told(sent) == ["success"]


async def test_a_turn_without_anybody_to_play_files_ends_at_its_end(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session)
    stage.start(flags=FlagSet())
    stage.text("好", eos=True)
    stage.end(voice_follows=True)
    await asyncio.sleep(0.01)
    assert (await told(sent))[-2:] == ["END 1", "STATE IDLE"]


async def test_an_older_client_gets_only_the_heard_text_of_a_stopped_turn(stage: Stage, listen: Listen) -> None:
    _, sent = await listen(stage.session, legacy=True)
    stage.start()
    stage.text("今晚我们玩")
    stage.chunks(0, 4)
    stage.session.stop(None, "x")
    stage.stop_ack(heard="今晚")
    for _ in range(10):
        await asyncio.sleep(0)
    assert [json.loads(frame) for frame in sent] == [
        {"status": "success", "task_id": "live-001", "content": "今晚", "audio_present": False}
    ]


async def test_viewers_are_counted_by_dialect(stage: Stage, listen: Listen) -> None:
    gauge = metrics.VIEWERS.labels(dialect="vtuber.v2.bin")
    before = gauge._value.get()
    viewer, _ = await listen(stage.session, binary=True)
    assert gauge._value.get() == before + 1
    stage.session.leave(viewer)
    assert gauge._value.get() == before
    assert stage.session.viewers == set()
