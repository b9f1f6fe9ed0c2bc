"""Serves one WebSocket by several tasks, for instance a reader and a writer."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from starlette.websockets import WebSocketDisconnect


async def run_until_first_ends(*parts: Coroutine[None, None, None]) -> None:
    """Run all parts until one ends, then cancel and await the others.

    Errors of a connection that the other side closes meanwhile count as an end.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await task
