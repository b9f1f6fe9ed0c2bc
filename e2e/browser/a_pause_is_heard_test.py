"""A reply that is paused falls silent at once, stands where it was heard, and goes on from there, in every window."""

import asyncio
import time

import pytest
from playwright.async_api import Browser

from e2e import timeouts
from e2e.harness.browser import CALM, IN_STEP_MS, Window, settled
from e2e.harness.clients import post
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]


async def held(stack: Stack, verb: str) -> bool:
    answer = await post(
        stack.service("output-handler"), {"sessionId": "pause"}, path=f"/control/{verb}"
    )
    assert answer.status == 202, answer.body
    return bool(answer.body["held"])


async def test_it_goes_on_where_it_was(as_newcomer: Stack, chromium: Browser) -> None:
    windows = [await Window.open(chromium, as_newcomer.url, "pause", **CALM) for _ in range(2)]
    await windows[0].say("Tell me about yourself, please.")
    for window in windows:
        await window.until(
            "v.phase === 'SPEAKING' && v.playhead?.sounding && v.playhead.offsetMs > 1500"
        )
    assert await held(as_newcomer, "pause")
    for window in windows:
        await window.until("v.rms < 0.005", 2)
    stood = [(await window.state())["playhead"]["offsetMs"] for window in windows]
    await asyncio.sleep(1.5)
    for window, offset in zip(windows, stood, strict=True):
        moments = await window.sample(0.3)
        assert {moment["playhead"]["offsetMs"] for moment in moments} == {offset}
        assert max(moment["rms"] for moment in moments) < 0.005
        assert max(moment["mouthOpen"] for moment in moments) < 0.15
    assert not await held(as_newcomer, "pause")
    resumed = time.monotonic()
    assert await held(as_newcomer, "resume")
    for window, offset in zip(windows, stood, strict=True):
        await window.until("v.playhead?.sounding", 3)
        went_on = (await window.state())["playhead"]["offsetMs"]
        # However late this machine looks, no more has sounded since than there was time for:
        # nothing was left out. A window that heard of the pause later than the others says again
        # what it had said alone.
        assert offset - 1000 <= went_on <= offset + (time.monotonic() - resumed) * 1000 + 300
        await window.until("v.rms > 0.01", 3)
    apart = await settled(windows)
    assert apart[-1] < IN_STEP_MS, (
        "one that heard of the pause later than the other is in step again"
    )
    await windows[0].until("v.phase === 'IDLE'", 40)
    # The playback position of a page is a little behind the session's clock, more so after it
    # played something again.
    await windows[0].until("v.captionText === v.replyText", timeouts.TURN)
    assert windows[0].problems == windows[1].problems == []
