"""One viewer of the older dialect: what it gets, and when it is given up."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.viewer import MAX_WAITING_RESPONSES, LegacyViewer
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]


def answer(text: str, file: bytes | None = None) -> LegacyResponseFrames:
    return LegacyResponseFrames.build("live-001", text, file)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_answers_and_errors_in_order_and_nothing_of_the_newer_dialects(
    listen: Listen,
) -> None:
    viewer, sent = await listen(legacy=True)
    assert isinstance(viewer, LegacyViewer)
    viewer.send("a frame of the newer dialects")
    viewer.send_response(answer("文字"))
    viewer.error("Processing timeout")
    await settle()
    assert [json.loads(frame) for frame in sent] == [
        {"status": "success", "task_id": "live-001", "content": "文字", "audio_present": False},
        {"status": "error", "error": "Processing timeout"},
    ]


async def test_one_that_takes_nothing_is_closed_too(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(legacy=True, stuck_s=0.05, gate=gate)
    assert isinstance(viewer, LegacyViewer)
    viewer.send_response(answer("one"))
    await asyncio.sleep(0.06)
    viewer.send_response(answer("two"))
    assert viewer.disconnected
    await settle()
    gate.set()
    await settle()
    assert sent == ["closed 1013"]


async def test_a_slow_one_is_given_up_before_it_lags_by_many_answers(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(legacy=True, gate=gate, stuck_s=3600)
    assert isinstance(viewer, LegacyViewer)
    for number in range(MAX_WAITING_RESPONSES):
        viewer.send_response(answer(f"answer {number}", bytes(60_000)))
    assert not viewer.disconnected
    viewer.error("one more")
    assert viewer.disconnected
    viewer.send_response(answer("and another", bytes(60_000)))
    assert len(viewer._queue) == 0
    gate.set()
    await settle()
    assert sent[-1] == "closed 1013"


async def test_a_file_on_its_way_is_finished_whatever_is_stopped(listen: Listen) -> None:
    gate = asyncio.Event()
    viewer, sent = await listen(legacy=True, gate=gate)
    assert isinstance(viewer, LegacyViewer)
    viewer.send_response(answer("one", bytes(100_000)))
    await settle()
    viewer.flush()
    gate.set()
    await settle()
    assert json.loads(sent[-1])["type"] == "audio_complete"


async def test_one_that_takes_its_answers_gets_as_many_as_there_are(listen: Listen) -> None:
    viewer, sent = await listen(legacy=True)
    assert isinstance(viewer, LegacyViewer)
    for number in range(3 * MAX_WAITING_RESPONSES):
        viewer.send_response(answer(f"answer {number}"))
        await settle()
    assert len(sent) == 3 * MAX_WAITING_RESPONSES
    assert not viewer.disconnected
