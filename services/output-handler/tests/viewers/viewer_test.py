import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts import binary
from dialog_contracts.ingest import SpeechChunk
from dialog_telemetry import metrics
from output_handler.playback.turn import AudioFrame
from output_handler.viewers.viewer import MAX_QUEUED_FRAMES, Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]


def sound(seq: int, ms: int = 40) -> AudioFrame:
    pcm = base64.b64encode(bytes([seq % 256]) * (48 * ms)).decode()
    chunk = SpeechChunk(session_id="live-001", turn=1, seq=seq, pcm=pcm, ts=1.0, offset_ms=seq * ms)
    return AudioFrame(seq, seq * ms, ms, chunk.to_json(), binary.pack(chunk))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def seqs(sent: list[str | bytes]) -> list[int]:
    return [
        json.loads(frame)["seq"]
        for frame in sent
        if isinstance(frame, str) and "SPEECH_CHUNK" in frame
    ]


async def test_frames_go_out_in_order_in_the_form_of_the_dialect(listen: Listen) -> None:
    viewer, sent = await listen()
    in_binary, sent_binary = await listen(binary=True)
    for one in (viewer, in_binary):
        one.send("text")
        one.send_audio(sound(0))
        one.send("more")
    await settle()
    assert sent == ["text", sound(0).json, "more"]
    assert sent_binary == ["text", sound(0).binary, "more"]


async def test_a_queue_holds_its_milliseconds_then_only_captions_until_the_next_turn(
    listen: Listen,
) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(queue_ms=200, gate=gate)
    dropped = metrics.VIEWER_DROPPED_CHUNKS._value.get()
    viewer.send("first, stuck on the way")
    await settle()
    for seq in range(5):
        viewer.send_audio(sound(seq))
    viewer.send("caption")
    viewer.send_audio(sound(5))
    viewer.send_audio(sound(6))
    gate.set()
    await settle()
    assert seqs(sent) == []
    assert [frame for frame in sent if not str(frame).startswith("{")] == [
        "first, stuck on the way",
        "caption",
    ]
    assert [json.loads(frame)["code"] for frame in sent if str(frame).startswith("{")] == [
        "too_slow"
    ]
    assert metrics.VIEWER_DROPPED_CHUNKS._value.get() == dropped + 7

    viewer.send_audio(sound(7))
    await settle()
    assert seqs(sent) == []
    viewer.new_turn()
    viewer.send_audio(sound(8))
    await settle()
    assert seqs(sent) == [8]


async def test_exactly_the_allowed_milliseconds_are_no_reason_to_drop(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(queue_ms=200, gate=gate)
    for seq in range(5):
        viewer.send_audio(sound(seq))
    gate.set()
    await settle()
    assert seqs(sent) == [0, 1, 2, 3, 4]


async def test_a_slow_viewer_that_has_not_caught_up_stays_with_captions(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(queue_ms=200, gate=gate)
    for seq in range(7):
        viewer.send_audio(sound(seq, 50))
    viewer.new_turn()
    viewer.send_audio(sound(9, 50))
    gate.set()
    await settle()
    assert 9 not in seqs(sent)


async def test_flush_drops_sound_and_keeps_everything_else(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(gate=gate)
    viewer.send("on its way")
    await settle()
    viewer.send_audio(sound(0))
    viewer.send("caption")
    viewer.send_audio(sound(1))
    viewer.flush()
    viewer.send("STOP")
    gate.set()
    await settle()
    assert sent == ["on its way", "caption", "STOP"]


async def test_a_viewer_that_takes_nothing_is_closed_though_the_network_is_shut(
    listen: Listen,
) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(stuck_s=0.05, gate=gate)
    closed = metrics.VIEWERS_CLOSED.labels(reason="too_slow")._value.get()
    viewer.send("never taken")
    await asyncio.sleep(0.06)
    assert not viewer.disconnected
    viewer.send("one more")
    assert viewer.disconnected
    viewer.send("and more")
    assert metrics.VIEWERS_CLOSED.labels(reason="too_slow")._value.get() == closed + 1
    await settle()
    gate.set()
    await settle()
    assert sent == ["closed 1013"]


async def test_a_stuck_viewer_with_captions_only_is_closed_by_the_next_chunk(
    listen: Listen,
) -> None:
    gate = asyncio.Event()
    viewer, _ = await listen(queue_ms=100, stuck_s=0.05, gate=gate)
    viewer.send("never taken")
    await settle()
    viewer.send_audio(sound(0, 150))
    await asyncio.sleep(0.06)
    viewer.send_audio(sound(1))
    assert viewer.disconnected
    gate.set()


async def test_a_flood_that_nobody_takes_ends_at_its_bound(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(gate=gate)
    for number in range(MAX_QUEUED_FRAMES + 1):
        viewer.send(str(number))
    assert viewer.disconnected
    await settle()
    gate.set()
    await settle()
    assert sent[-1] == "closed 1013"
    assert len(sent) <= 2


async def test_a_mark_is_called_when_all_before_it_is_sent(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(gate=gate)
    marks: list[list[str | bytes]] = []
    viewer.send("one")
    viewer.on_sent(lambda: marks.append(list(sent)))
    viewer.send("two")
    await settle()
    assert marks == []
    gate.set()
    await settle()
    assert marks == [["one"]]
    assert sent == ["one", "two"]


async def test_the_end_of_its_owner_is_not_mistaken_for_giving_up(listen: Listen) -> None:
    viewer, sent = await listen()
    writer = asyncio.create_task(viewer.write())
    await settle()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    assert sent == []
