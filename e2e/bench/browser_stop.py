"""How long the ear waits for silence.

A real browser, her own voice, Escape in the middle of a word.
"""

import asyncio
import random
from pathlib import Path
from typing import Final

from e2e.bench import figures
from e2e.harness.browser import CALM, Window, browser
from e2e.harness.stack import running

STOPS: Final = 30
BY_RULES: Final = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}


async def ear_silence(data: Path) -> dict[str, float]:
    """STOP in a browser to the last sound of its AudioContext, as the page itself measures it."""
    chance = random.Random(6)
    times: list[float] = []
    with running(data, BY_RULES) as stack:
        async with browser() as chromium:
            window = await Window.open(chromium, stack.url, "ear", **CALM)
            for turn in range(1, STOPS + 1):
                await window.say("Please tell me everything you can do.")
                await window.until(
                    f"v.turn === {turn} && v.playhead?.sounding && v.playhead.offsetMs > 300", 8
                )
                await asyncio.sleep(chance.uniform(0, 0.6))
                await window.page.keyboard.press("Escape")
                await window.until(f"v.latency['{turn}']?.stopMs != null", 5)
                times.append((await window.state())["latency"][str(turn)]["stopMs"])
                await asyncio.sleep(0.3)
    return figures.named("ear_silence", times)
