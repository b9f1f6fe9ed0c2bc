"""The engine does not answer.

The page shows and speaks the fallback's reply all the same, and says who answered and why.
"""

import os
import signal
import time

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from dialog_contracts.http import FlagSet
from e2e.harness.browser import CALM, Window
from e2e.harness.clients import get
from e2e.harness.flag_documents import known_everywhere, write
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]
ON_AIR = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
SWITCHED_OFF = FlagSet(ENABLE_SYNC_CORE=False)


@pytest.mark.parametrize(
    ("fault", "flags", "reason"),
    [
        ("absent", ON_AIR, "the main path could not be reached"),
        ("cutearly", ON_AIR, "the main path broke off"),
        ("well", SWITCHED_OFF, "the main path is switched off"),
    ],
)
async def test_the_reply_is_heard_and_the_note_names_the_reason(
    with_fallback: Stack, chromium: Browser, fault: str, flags: FlagSet, reason: str
) -> None:
    session = f"{fault}-page"
    async with Redis.from_url(with_fallback.redis, decode_responses=True) as redis:
        revision = int(time.time() * 1000)
        await write(redis, revision, session, flags)
        await known_everywhere(with_fallback, revision)
    window = await Window.open(chromium, with_fallback.url, session, **CALM)
    await answered_by_the_fallback(window, with_fallback.url, session, reason)
    # Who answered is part of the history too.
    await window.page.reload()
    await window.shows("answered by the fallback")
    assert window.problems == []


async def test_an_engine_that_stops_in_front_of_the_viewer_is_the_same_to_him(
    with_fallback: Stack, chromium: Browser
) -> None:
    session = "well-then-stopped"
    window = await Window.open(chromium, with_fallback.url, session, **CALM)
    engine = with_fallback.pid_of("dialog-engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        await answered_by_the_fallback(
            window, with_fallback.url, session, "the main path was too slow"
        )
    finally:
        os.kill(engine, signal.SIGCONT)
    await window.say("Are you there again?")
    await window.until("v.turn === 2 && v.replyText.split(' ').length >= 8 && v.phase === 'IDLE'")
    assert await window.page.locator(".fallback").count() == 1, "the engine's own reply has no note"
    assert window.problems == []


async def answered_by_the_fallback(window: Window, url: str, session: str, reason: str) -> None:
    """Once, in words and to the end of its voice."""
    await window.say("Hello there, who are you?")
    await window.shows(f"answered by the fallback · {reason}")
    await window.until(
        "v.phase === 'IDLE' && v.playhead && !v.playhead.sounding && v.captionText === v.replyText"
    )
    after = await window.state()
    (turn,) = (await get(f"{url}/sessions/{session}/turns"))["turns"]
    assert (turn["reply"].strip(), turn["path"]) == (after["replyText"].strip(), "legacy")
    assert len(after["replyText"].split()) == 8
    assert after["playhead"]["offsetMs"] == pytest.approx(
        10 * len(turn["reply"].strip()), rel=0.1
    ), "its voice was heard to the end"
    assert await window.page.locator(".fallback").count() == 1, "one reply, one note"


async def test_rules_that_answer_in_place_of_a_model_are_named_once(
    as_newcomer: Stack, chromium: Browser
) -> None:
    window = await Window.open(chromium, as_newcomer.url, "rules-page", **CALM)
    await window.say("Hello there")
    await window.shows(
        "by rules, espeak, in place of openai (not set up: OPENAI_API_KEY or OPENAI_BASE_URL)"
    )
    await window.until("v.turn === 1 && v.phase === 'IDLE'")
    await window.say("Thank you")
    await window.until("v.turn === 2 && v.phase === 'IDLE' && v.captionText === v.replyText")
    assert await window.page.locator(".instead").count() == 1
    assert window.problems == []
