"""In a real browser.

Sound reaches the AudioContext, the mouth moves with it, captions match, a reload resumes, STOP
silences.
"""

import asyncio
import json
import statistics

import pytest
from playwright.async_api import Browser

from e2e import timeouts
from e2e.harness.browser import CALM, IN_STEP_MS, Window, settled
from e2e.harness.clients import chat, get
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_an_answer_is_heard_seen_and_read(as_newcomer: Stack, chromium: Browser) -> None:
    window = await Window.open(chromium, as_newcomer.url, "page")
    before = await window.state()
    assert before["phase"] == "IDLE"
    await window.say("Hello! Who are you?")
    await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 2000")
    speaking = await window.sample(2.0)
    loud = [moment for moment in speaking if moment["rms"] > 0.01]
    assert len(loud) > len(speaking) / 4
    opens = [moment["mouthOpen"] for moment in speaking]
    assert max(opens) > 0.25
    assert statistics.pstdev(opens) > 0.05
    await window.until("v.phase === 'IDLE'", 40)
    # The playback position of a page is a little behind the session's clock.
    await window.until("v.captionText === v.replyText", 3)
    after = await window.state()
    assert after["samplesPlayed"] > before["samplesPlayed"] + 24_000
    assert after["replyText"].strip()
    turns = (await get(f"{as_newcomer.url}/sessions/page/turns"))["turns"]
    assert after["replyText"] == turns[-1]["reply"]
    quiet = await window.sample(0.6)
    assert quiet[-1]["mouthOpen"] < 0.1
    assert quiet[-1]["rms"] < 0.01
    latency = after["latency"][str(turns[-1]["turn"])]
    assert 0 < latency["textMs"] < 5_000
    assert 0 < latency["audioMs"] < 5_000
    assert "Hello! Who are you?" in await window.page.inner_text("body")
    assert window.problems == []


async def test_two_windows_play_in_step(as_newcomer: Stack, chromium: Browser) -> None:
    windows = [await Window.open(chromium, as_newcomer.url, "step", **CALM) for _ in range(2)]
    await windows[0].say("Tell me about yourself, please.")
    for window in windows:
        await window.until(
            "v.phase === 'SPEAKING' && v.playhead?.sounding && v.playhead.offsetMs > 500"
        )
    apart = await settled(windows)
    assert apart[-1] < IN_STEP_MS, apart
    assert "Tell me about yourself" in await windows[1].page.inner_text("body")
    assert windows[0].problems == windows[1].problems == []


async def test_a_reload_resumes(as_newcomer: Stack, chromium: Browser) -> None:
    window = await Window.open(chromium, as_newcomer.url, "reload", **CALM)
    await window.say("My name is Tom.")
    await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 2000")
    await window.page.reload()
    await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 2000")
    body = await window.page.inner_text("body")
    assert "My name is Tom." in body
    await window.until("v.phase === 'IDLE'", 40)
    turns = (await get(f"{as_newcomer.url}/sessions/reload/turns"))["turns"]
    assert len(turns) == 1
    await window.page.reload()
    await window.shows("My name is Tom.")
    reply = turns[0]["reply"].split()[0]
    assert reply in await window.page.inner_text("body")
    await window.say("What is my name?")
    await window.until("v.turn === 2 && v.replyText.includes('Tom')")
    assert window.problems == []


@pytest.mark.parametrize("how", ["Escape", "button", "new message"])
async def test_stop_silences_the_ear(as_newcomer: Stack, chromium: Browser, how: str) -> None:
    session = f"silence-{how.replace(' ', '-')}"
    window = await Window.open(chromium, as_newcomer.url, session, **CALM)
    await window.say("Please tell me everything you can do.")
    await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 12000")
    if how == "Escape":
        await window.page.keyboard.press("Escape")
    elif how == "button":
        await window.page.click("button.stop")
    else:
        await window.say("Wait!")
    if how == "new message":
        await window.until("v.turn === 2 && v.phase === 'SPEAKING'")
    else:
        await window.until("v.rms < 0.005 && v.phase !== 'SPEAKING'", 3)
        assert max(moment["rms"] for moment in await window.sample(0.8)) < 0.01
        assert (await window.state())["latency"]["1"]["stopMs"] < 1_000
    # The next turn does not wait until Redis has the one before it: she may speak already.
    async with asyncio.timeout(timeouts.TURN):
        while not (kept := (await get(f"{as_newcomer.url}/sessions/{session}/turns"))["turns"]):
            await asyncio.sleep(0.05)
    assert kept[0]["interrupted"]
    assert window.problems == []


async def test_it_works_on_a_phone_in_chinese(as_newcomer: Stack, chromium: Browser) -> None:
    phone = {
        "viewport": {"width": 375, "height": 740},
        "locale": "zh-CN",
        "has_touch": True,
        "is_mobile": True,
    }
    window = await Window.open(chromium, as_newcomer.url, "phone", **phone)
    wide = await window.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide
    await window.say("你好，你叫什么名字？")
    await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 2000")
    state = await window.state()
    assert any("\u4e00" <= char <= "\u9fff" for char in state["replyText"])
    language: str = await window.page.evaluate("document.documentElement.lang")
    assert language.startswith("zh")
    assert window.problems == []


async def test_turns_of_others_appear(as_newcomer: Stack, chromium: Browser) -> None:
    window = await Window.open(chromium, as_newcomer.url, "others")
    answer = await chat(as_newcomer.url, "others", "A question from somewhere else")
    await window.shows("A question from somewhere else")
    await window.until(f"v.turn === 1 && v.replyText === {json.dumps(answer.text)}")
    assert window.problems == []


async def test_the_api_is_described_at_docs_without_the_internet(
    as_newcomer: Stack, chromium: Browser
) -> None:
    window = Window(await chromium.new_page())
    await window.page.goto(f"{as_newcomer.url}/docs")
    for path in ("/chat/stream", "/control/stop", "/sessions/{id}/turns"):
        await window.shows(path)
    assert "Unable to render" not in await window.page.inner_text("body")
    assert window.problems == []
