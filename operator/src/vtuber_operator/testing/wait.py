"""Starting an operator in a test, and waiting for its effects."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from vtuber_operator.app import Operator

Operating = Callable[..., AbstractAsyncContextManager[Operator]]
"""Starts an operator; keyword arguments are settings."""


async def until(check: Callable[[], bool], what: str, within_s: float = 8.0) -> None:
    """Wait until `check` returns True; AssertionError names what did not happen."""
    try:
        async with asyncio.timeout(within_s):
            while not check():  # noqa: ASYNC110 - what it looks at are objects of a fake, which tell nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None
