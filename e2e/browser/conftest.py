"""One Chromium for all browser tests, on the loop that they share.

Each test has pages of its own.
"""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from e2e.harness.browser import browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def started() -> AsyncIterator[Browser]:
    async with browser() as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(started: Browser) -> AsyncIterator[Browser]:
    """Without pages before the test and after it.

    One that goes on speaking would take the next test's time.
    """
    yield started
    for context in started.contexts:
        await context.close()
