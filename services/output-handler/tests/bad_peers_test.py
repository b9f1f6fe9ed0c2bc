"""Viewers and engines that send junk, take nothing, or speak for others harm nobody but themselves."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_contracts import limits
from dialog_contracts.ingest import TextDelta
from dialog_telemetry import metrics
from output_handler.viewers.socket import MAX_BAD_FRAMES, MAX_FRAMES_PER_SECOND

if TYPE_CHECKING:
    from conftest import Output


async def test_bad_frames_are_answered_then_end_the_connection(output: "Output") -> None:
    junk: list[str | bytes] = [
        "",
        "[]",
        "{",
        '{"type":"CONTROL","action":"START"}',
        b"bytes where text belongs",
    ]
    async with output.viewer() as viewer:
        for frame in junk:
            await viewer.send(frame)
            assert (await output.until(viewer, "ERROR"))["code"] == "bad_frame"
        for _ in range(MAX_BAD_FRAMES - len(junk)):
            await viewer.send("x")
        assert await output.close_of(viewer) == (1008, "too many bad frames")


async def test_a_client_that_is_gone_while_it_is_refused_leaves_no_crash(
    output: "Output", caplog: pytest.LogCaptureFixture
) -> None:
    async with output.viewer() as viewer:
        for _ in range(MAX_BAD_FRAMES * 3):
            await viewer.send("x")
        viewer.transport.abort()
    await asyncio.sleep(0.05)
    async with output.viewer() as viewer:
        assert (await output.until(viewer, "STATE"))["phase"] == "IDLE"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_flood_of_stops_ends_its_connection_and_slows_nobody(output: "Output") -> None:
    async with output.viewer() as viewer, output.viewer() as other:
        await output.until(other, "STATE")
        stop = '{"type":"CONTROL","action":"STOP","sessionId":"live-001"}'
        for _ in range(MAX_FRAMES_PER_SECOND + 1):
            await viewer.send(stop)
        assert await output.close_of(viewer) == (1008, "more than 100 frames a second")
        await other.send('{"type":"TIME","t0":1}')
        assert (await output.until(other, "TIME"))["t0"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"CONTROL","action":"STOP","sessionId":"live-002"}',
        '{"type":"PLAYED","sessionId":"live-002","turn":1,"offsetMs":5}',
    ],
)
async def test_a_viewer_speaks_only_for_its_own_session(output: "Output", frame: str) -> None:
    async with output.viewer() as viewer, output.viewer("live-002") as other:
        await viewer.send(frame)
        error = await output.until(viewer, "ERROR")
        assert (error["code"], "live-001" in error["message"]) == ("bad_frame", True)
        assert (await output.until(other, "STATE"))["phase"] == "IDLE"


@pytest.mark.parametrize("name", ["a.b", "x" * 65, "%E7%9B%B4%E6%92%AD", "a%20b", "live%0A"])
async def test_an_illegal_session_id_is_closed_with_4004(output: "Output", name: str) -> None:
    async with output.viewer(name) as viewer:
        code, reason = await output.close_of(viewer)
        assert code == 4004
        assert "1 to 64" in reason


async def test_a_frame_over_the_limit_ends_the_connection(output: "Output") -> None:
    async with output.viewer() as viewer:
        await viewer.send("x" * (limits.MAX_JSON_FRAME_BYTES + 1))
        assert (await output.close_of(viewer))[0] == 1009


async def test_a_viewer_that_reads_nothing_is_closed_and_delays_nobody(output: "Output") -> None:
    async with output.viewer() as quick, output.viewer(max_queue=1) as stuck:
        await output.subscribed()
        await output.start()
        await output.until(quick, "START")
        closed = metrics.VIEWERS_CLOSED.labels(reason="too_slow")
        before = closed._value.get()
        stuck.transport.pause_reading()
        caption, told = "说" * 15_000, 0
        # The kernel's buffers of its connection have to fill first; each caption reaches the other
        # one before the next is sent.
        async with asyncio.timeout(40):
            while closed._value.get() == before:
                await output.engine.send(
                    TextDelta(
                        session_id="live-001", turn=1, content=caption, text_start=0
                    ).to_json()
                )
                assert (await output.until(quick, "TEXT_DELTA"))["content"] == caption
                told += 1
                await asyncio.sleep(0)
        assert told > 5
        assert closed._value.get() == before + 1
        stuck.transport.resume_reading()
        assert (await output.close_of(stuck))[0] in (1013, 1006)
