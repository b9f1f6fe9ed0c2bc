"""An engine's silence, judged by a process that may have stood still itself.

In real time, which a blocked loop loses.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from output_handler.ingest.connection import HEARTBEAT_TIMEOUT_S, EngineConnection
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
Wired = Callable[..., Awaitable[object]]


async def test_what_was_heard_since_is_not_taken_for_later_than_it_is(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = EngineConnection(await wired([]))  # type: ignore[arg-type]
    link.supports_heartbeat = True
    link.touch()
    link.extend_deadline(60)
    now = asyncio.get_running_loop().time()
    with monkeypatch.context() as later:
        later.setattr(asyncio.get_running_loop(), "time", lambda: now + HEARTBEAT_TIMEOUT_S)
        assert link.timed_out
