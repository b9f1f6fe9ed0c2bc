"""The page's connections really end.

It says so, comes back by itself, and then knows what it missed, once and in order.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser

from e2e import timeouts
from e2e.harness.browser import CALM, Window
from e2e.harness.clients import Answer, chat, get, post, watching
from e2e.harness.flaky_proxy import Line, line
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]

BOTH_LOST = "v.connection.input === 'reconnecting' && v.connection.output === 'reconnecting'"
BOTH_BACK = "v.connection.input === 'connected' && v.connection.output === 'connected'"
CAPTION = b'"TEXT_DELTA"'
WORD = b'"text-delta"'
MOST_ROWS = """window.mostRows = 0; const list = document.getElementById('turns');
new MutationObserver(() => window.mostRows = Math.max(window.mostRows, list.children.length)).observe(list, {childList: true});"""
ROWS = """[...document.querySelectorAll('#turns .turn')].map(row => ({
  user: row.querySelector('.user .words').textContent, reply: row.querySelector('.reply .words').textContent,
  unplayed: row.querySelector('.unplayed')?.textContent ?? '',
  marks: [...row.querySelectorAll('.interrupted, .failed')].map(mark => mark.className),
  writing: row.matches('.running, .waiting'), foreign: row.matches('.other'),
}))"""


@asynccontextmanager
async def opened(
    stack: Stack, chromium: Browser, session: str
) -> AsyncIterator[tuple[Window, Line]]:
    async with line(stack.url) as cable:
        window = await Window.open(chromium, cable.url, session, **CALM)
        yield window, cable
        # A browser says by itself that a socket failed; anything else is ours.
        assert [
            problem
            for problem in window.problems
            if "net::ERR_" not in problem and "WebSocket" not in problem
        ] == []


async def rows(window: Window) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await window.page.evaluate(ROWS)
    return found


async def back(window: Window, cable: Line) -> None:
    cable.mend()
    await window.until(BOTH_BACK, timeouts.PAGE_BACK)


@asynccontextmanager
async def half_read(
    stack: Stack, window: Window, cable: Line, session: str, captions: int
) -> AsyncIterator["asyncio.Task[Answer]"]:
    """Somebody else's turn, of which this page read that many pieces.

    When it is over for those who were there, the page comes back.
    """
    async with watching(stack.ws, session) as witness:
        cable.cut_at(CAPTION, captions + 1)
        asking = asyncio.create_task(
            chat(stack.url, session, "Please tell me everything you can do.")
        )
        async with asyncio.timeout(timeouts.TURN):
            await cable.broken.wait()
        await window.until(BOTH_LOST, timeouts.BREAK_SEEN)
        yield asking
        await asking
        await witness.until(lambda v: v.phases()[-1] == "IDLE" and v.of("TEXT_DELTA"))
    await back(window, cable)


async def heard_by_others(stack: Stack, session: str, content: str) -> Answer:
    """A turn of which this page knows nothing, to its last sound."""
    async with watching(stack.ws, session) as witness:
        answer = await chat(stack.url, session, content)
        await witness.until(lambda v: v.of("CONTROL", "END") and v.phases()[-1] == "IDLE")
    return answer


async def test_it_says_that_it_is_cut_off_comes_back_by_itself_and_answers(
    as_newcomer: Stack, chromium: Browser
) -> None:
    async with opened(as_newcomer, chromium, "cut-off") as (window, cable):
        await window.say("Hello! Who are you?")
        await window.until("v.phase === 'SPEAKING' && v.samplesPlayed > 2000")
        cable.cut()
        await window.until(BOTH_LOST, timeouts.BREAK_SEEN)
        await window.shows("Reconnecting…")
        await window.say("Still there?")
        await back(window, cable)
        await window.shows("Connected")
        played = (await window.state())["samplesPlayed"]
        await window.until(
            f"v.turn === 2 && v.replyText.length > 5 && v.samplesPlayed > {played} + 2000"
        )
        await window.until("v.phase === 'IDLE'", 40)
        turns = (await get(f"{as_newcomer.url}/sessions/cut-off/turns"))["turns"]
        assert [turn["user"] for turn in turns] == ["Hello! Who are you?", "Still there?"]
        shown = await rows(window)
        assert [row["user"] for row in shown] == ["Hello! Who are you?", "Still there?"]
        assert shown[1]["reply"] == turns[1]["reply"]


async def test_what_others_said_meanwhile_is_there_once_and_in_order(
    fake_models: Stack, chromium: Browser
) -> None:
    async with opened(fake_models, chromium, "missed") as (window, cable):
        await window.say("one")
        await window.until("v.turn === 1 && v.replyText.split(' ').length >= 36")
        cable.cut()
        await window.until(BOTH_LOST, timeouts.BREAK_SEEN)
        others = [await heard_by_others(fake_models, "missed", word) for word in ("two", "three")]
        await window.say("four")
        await back(window, cable)
        await window.until("v.turn === 4 && v.replyText.split(' ').length >= 36")
        await window.until(
            "document.querySelectorAll('#turns .running, #turns .waiting').length === 0"
        )
        shown = await rows(window)
        assert [row["user"] for row in shown] == ["one", "two", "three", "four"]
        assert [row["foreign"] for row in shown] == [False, True, True, False]
        assert [row["reply"] for row in shown[1:3]] == [other.text for other in others]
        async with window.page.expect_response(
            "**/turns", timeout=timeouts.PAGE_BACK * 1000
        ) as read:
            cable.cut()
            await back(window, cable)
        await (await read.value).finished()
        assert await rows(window) == shown, "a break that nobody used changes nothing"


async def test_an_own_reply_that_was_cut_off_is_told_to_its_end_in_one_piece(
    fake_models: Stack, chromium: Browser
) -> None:
    async with opened(fake_models, chromium, "own") as (window, cable):
        await window.page.evaluate(MOST_ROWS)
        cable.cut_at(WORD, 4)
        async with watching(fake_models.ws, "own") as witness:
            await window.say("one")
            await window.until(BOTH_LOST, timeouts.BREAK_SEEN)
            (row,) = await rows(window)
            assert row["writing"]
            await witness.until(lambda v: v.of("CONTROL", "END") and v.phases()[-1] == "IDLE")
        await back(window, cable)
        (kept,) = (await get(f"{fake_models.url}/sessions/own/turns"))["turns"]
        await window.shows(kept["reply"].strip(), timeouts.PAGE_BACK)
        await window.until(
            "document.querySelectorAll('#turns .running, #turns .waiting').length === 0"
        )
        (row,) = await rows(window)
        assert (row["user"], row["reply"], row["foreign"], row["marks"]) == (
            "one",
            kept["reply"],
            False,
            [],
        )
        assert await window.page.evaluate("window.mostRows") == 1, "not even for a moment"


async def test_a_reply_that_was_cut_off_in_the_middle_is_completed(
    fake_models: Stack, chromium: Browser
) -> None:
    async with opened(fake_models, chromium, "half") as (window, cable):
        async with half_read(fake_models, window, cable, "half", 2) as asking:
            answer = await asking
            (row,) = await rows(window)
            assert row["writing"]
            assert 0 < len(row["reply"]) < len(answer.text)
            assert answer.text.startswith(row["reply"])
        await window.shows(answer.text.strip(), timeouts.PAGE_BACK)
        (row,) = await rows(window)
        assert (row["reply"], row["writing"], row["marks"]) == (answer.text, False, [])


async def test_a_reply_that_was_stopped_meanwhile_is_marked(
    fake_models: Stack, chromium: Browser
) -> None:
    async with opened(fake_models, chromium, "stopped") as (window, cable):
        async with half_read(fake_models, window, cable, "stopped", 2):
            stop = await post(fake_models.url, {"sessionId": "stopped"}, path="/control/stop")
            assert stop.body["stopped"]
        (kept,) = (await get(f"{fake_models.url}/sessions/stopped/turns"))["turns"]
        assert kept["interrupted"]
        await window.shows("interrupted", timeouts.PAGE_BACK)
        (row,) = await rows(window)
        assert (row["marks"], row["writing"]) == (["interrupted"], False)
        assert row["reply"].removesuffix(row["unplayed"]) == kept["reply"], (
            "what was read but never heard is told apart"
        )


async def test_a_reply_that_was_lost_with_its_engine_does_not_run_for_ever(
    as_newcomer: Stack, chromium: Browser
) -> None:
    async with opened(as_newcomer, chromium, "lost") as (window, cable):
        async with half_read(as_newcomer, window, cable, "lost", 1) as asking:
            os.kill(as_newcomer.pid_of("dialog-engine"), signal.SIGKILL)
            assert (await asking).events[-1] == "error"
        await window.shows("She lost the thread", timeouts.PAGE_BACK)
        (row,) = await rows(window)
        assert (row["marks"], row["writing"]) == (["failed"], False)
        async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
            while "done" not in (await chat(as_newcomer.url, "others-later")).events:
                await asyncio.sleep(0.2)
