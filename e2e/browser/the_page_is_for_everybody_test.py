"""Nothing keeps a person out.

No serious finding of axe in any state, the keyboard begins in the field, and what is said is true.
"""

import json
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from e2e.harness.browser import CALM, Window
from e2e.harness.clients import chat
from e2e.harness.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_scope="session"),
]

# axe is a script: the page's own policy would keep it out.
AXE: dict[str, Any] = {"bypass_csp": True, "reduced_motion": "reduce"}
LOOKS = {
    "light": AXE,
    "dark phone": {**AXE, "color_scheme": "dark", "viewport": {"width": 375, "height": 700}},
}
ALLOWED = ("minor",)


async def found(window: Window) -> list[tuple[str, str, list[str]]]:
    """What axe has against the page as it is now."""
    said = (await Axe().run(window.page)).response["violations"]
    wrong = [
        (each["id"], each["impact"], [str(node["target"]) for node in each["nodes"]])
        for each in said
    ]
    return [each for each in wrong if each[1] not in ALLOWED]


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing_in_any_state(
    as_newcomer: Stack, chromium: Browser, look: str
) -> None:
    session = f"axe-{look.replace(' ', '-')}"
    window = await Window.open(chromium, as_newcomer.url, session, **LOOKS[look])
    await chat(as_newcomer.url, session, "Somebody else asks")
    await window.shows("Another viewer")
    await window.say("Please tell me everything you can do.")
    await window.until("v.turn === 2 && v.phase === 'SPEAKING' && v.samplesPlayed > 6000")
    await window.page.keyboard.press("Escape")
    await window.shows("interrupted")
    await window.page.fill("textarea", "x" * 4_001)
    assert await found(window) == [], (
        "cut off, beside somebody else's turn, and a message that is too long"
    )
    await window.page.click("#session")
    await window.shows("Choose a session")
    assert await found(window) == [], "a dialog"


async def test_the_field_has_the_focus_and_a_question_is_one_click(
    as_newcomer: Stack, chromium: Browser
) -> None:
    window = await Window.open(chromium, as_newcomer.url, "begin", **AXE)
    assert await found(window) == [], "an empty conversation"
    assert await window.page.evaluate("document.activeElement.id") == "message"
    await window.shows("Say hello to Xiaoxing")
    assert await window.page.locator(".questions button").all_inner_texts() == [
        "Who are you?",
        "What can you do?",
        "Tell me a joke!",
    ]
    await window.page.click(".questions button >> nth=1")
    await window.until("v.turn === 1 && v.phase === 'SPEAKING'")
    assert not await window.page.is_visible("#empty")
    assert await window.page.locator(".bubble.user .words").all_inner_texts() == [
        "What can you do?"
    ]


async def test_only_own_words_are_yours_also_after_a_reload(
    as_newcomer: Stack, chromium: Browser
) -> None:
    await chat(as_newcomer.url, "whose", "A stranger's words")
    window = await Window.open(chromium, as_newcomer.url, "whose", **CALM)
    await window.shows("A stranger's words")
    await window.say("My own words")
    await window.until("v.turn === 2 && v.phase === 'SPEAKING'")
    await window.page.keyboard.press("Escape")
    await window.until("v.phase === 'IDLE'")
    for reloaded in (False, True):
        if reloaded:
            await window.page.reload()
        await window.shows("My own words")
        await window.shows("A stranger's words")
        said = await window.page.evaluate(
            "[...document.querySelectorAll('.turn')].map(t => ['.who', '.user .words'].map(part => t.querySelector(part).textContent))"
        )
        assert said == [["Another viewer", "A stranger's words"], ["You", "My own words"]]
    stranger = await Window.open(chromium, as_newcomer.url, "whose", **CALM)
    await stranger.shows("My own words")
    assert await stranger.page.locator(".turn .who").all_text_contents() == [
        "Another viewer",
        "Another viewer",
    ]


async def test_who_muted_her_finds_her_muted(as_newcomer: Stack, chromium: Browser) -> None:
    window = await Window.open(chromium, as_newcomer.url, "mute", reduced_motion="reduce")
    for silent in (True, False):
        await window.page.click("#volume button")
        await window.page.reload()
        await window.until("v.connection.output === 'connected'")
        assert (await window.page.get_attribute("#volume button", "aria-label")) == (
            "Unmute" if silent else "Mute"
        )
        assert await window.page.input_value("#volume input") == "90", (
            "how loud is another question"
        )


async def test_a_page_that_browsers_do_not_trust_says_the_way_to_a_microphone(
    as_newcomer: Stack, chromium: Browser
) -> None:
    # As from a phone: by a name that is not this machine's own, over plain http.
    context = await chromium.new_context(locale="en-US", **CALM)
    page = await context.new_page()
    await page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    await page.goto(f"{as_newcomer.url}/?session=phone-http")
    await page.click("button.mic")
    notice = await page.inner_text(".notice")
    assert "https pages and to localhost" in notice
    assert "vtuber run --https" in notice
    assert "microphone was found" not in json.dumps(await page.inner_text("body"))
