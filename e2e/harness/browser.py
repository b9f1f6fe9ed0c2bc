"""A real Chromium, driven by playwright: the one of the system, or playwright's own where there is none.

`python -m e2e.harness.browser` makes sure that there is one; `make test` calls it.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A test has no finger: sound may begin without a click.
    "--autoplay-policy=no-user-gesture-required",
]

CALM: dict[str, Any] = {"viewport": {"width": 420, "height": 420}, "reduced_motion": "reduce"}
"""A small page that moves little.

Drawn without a graphics card, two large ones fill two cores and leave no room for their sound.
"""

IN_STEP_MS = 150
"""Two windows of one session play at most this far apart, once settled."""


def program() -> str | None:
    """The browser's path, or None for playwright's own (`make test` fetches it then)."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@asynccontextmanager
async def browser(*arguments: str) -> AsyncIterator[Browser]:
    """A browser with these arguments too."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=program(), args=[*ARGUMENTS, *arguments]
        )
        try:
            yield started
        finally:
            await started.close()


class Window:
    """A page of the product, with what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda line: self.problems.append(line.text) if line.type == "error" else None,
        )

    @classmethod
    async def open(cls, started: Browser, url: str, session: str, **options: Any) -> "Window":
        context = await started.new_context(
            **{"locale": "en-US", "viewport": {"width": 1100, "height": 750}, **options}
        )
        window = cls(await context.new_page())
        await window.page.goto(f"{url}/?session={session}")
        await window.until(
            "v.connection.input === 'connected' && v.connection.output === 'connected'"
        )
        return window

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.page.evaluate(
            "JSON.parse(JSON.stringify(window.vtuber))"
        )
        return state

    async def until(self, condition: str, seconds: float = 20.0) -> None:
        """Wait for a condition on `v`, the page's diagnostics."""
        await self.wait(
            f"(() => {{ const v = window.vtuber; return Boolean(v && ({condition})); }})()", seconds
        )

    async def shows(self, text: str, seconds: float = 10.0) -> None:
        """Wait until a text is on the page."""
        await self.wait(f"document.body.innerText.includes({json.dumps(text)})", seconds)

    async def wait(self, expression: str, seconds: float) -> None:
        # playwright's own waiting evaluates a string inside the page, which the page's security
        # policy forbids.
        deadline = time.monotonic() + seconds
        while not await self.page.evaluate(expression):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {seconds} s: {expression}\n{await self.state()}\n{self.problems}"
                )
            await asyncio.sleep(0.03)

    async def say(self, text: str) -> None:
        await self.page.fill("textarea", text)
        await self.page.keyboard.press("Enter")

    async def sample(self, seconds: float, every_ms: int = 30) -> list[dict[str, Any]]:
        """The diagnostics again and again, taken inside the page so that the times are even."""
        taken: list[dict[str, Any]] = await self.page.evaluate(
            """async ([ms, every]) => {
              const taken = [], end = performance.now() + ms;
              while (performance.now() < end) {
                taken.push({...JSON.parse(JSON.stringify(window.vtuber)), at: performance.now()});
                await new Promise(resolve => setTimeout(resolve, every));
              }
              return taken;
            }""",
            [seconds * 1000, every_ms],
        )
        return taken


async def settled(windows: list[Window]) -> list[float]:
    """How far apart two windows play [ms], sample by sample, until they are in step or had four chances:
    one that was held up catches up in the pauses of the speech."""
    apart: list[float] = []
    while len(apart) < 4 and (not apart or apart[-1] >= IN_STEP_MS):
        anchors = []
        for taken in await asyncio.gather(*(window.sample(0.8) for window in windows)):
            heads = [
                moment["playhead"]
                for moment in taken
                if moment["playhead"] and moment["playhead"]["sounding"]
            ]
            anchors.append(
                statistics.median(head["serverTime"] - head["offsetMs"] for head in heads)
            )
        apart.append(max(anchors) - min(anchors))
    return apart


def install() -> int:
    """Get a Chromium where this machine has none: Debian's as root, else playwright's own."""
    if program() is not None:
        return 0
    print("The browser tests need Chromium; installing it (once) …", flush=True)
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        packages = ["chromium", "fonts-noto-cjk", "fonts-noto-color-emoji"]
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", *packages], check=False, stdout=subprocess.DEVNULL
        )
        if program() is not None:
            return 0
    ended = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if ended.returncode != 0:
        print(
            "No Chromium could be installed. Install chromium or google-chrome, then run `make test` again.",
            file=sys.stderr,
        )
    return ended.returncode


if __name__ == "__main__":
    sys.exit(install())
