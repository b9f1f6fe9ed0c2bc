"""An engine's silence, judged by a process that may have stood still itself: in real time, which a blocked loop loses."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Heartbeat, Start
from output_handler import sockets
from output_handler.hub import Hub
from output_handler.ingest.connection import HEARTBEAT_TIMEOUT_S, EngineConnection
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
Wired = Callable[..., Awaitable[object]]


async def test_who_stood_still_himself_does_not_say_that_the_engine_did(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    link = EngineConnection(await wired([]))  # type: ignore[arg-type]
    hub.engine_joined(link)
    watching = asyncio.create_task(sockets._watch_engine(hub, link))
    for said in (Start(session_id="live-001", turn=1, epoch=1, flags=FlagSet()), Heartbeat()):
        link.touch()
        hub.on_engine_frame(link, said.to_json())
    await asyncio.sleep(0.01)
    time.sleep(HEARTBEAT_TIMEOUT_S + 0.2)  # that is what stands still
    await asyncio.sleep(0.15)
    assert "engine_lost" not in str(heard)
    await asyncio.sleep(HEARTBEAT_TIMEOUT_S + 0.2)
    assert "engine_lost" in str(heard), "and now it is the engine"
    watching.cancel()
    hub.close()


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
