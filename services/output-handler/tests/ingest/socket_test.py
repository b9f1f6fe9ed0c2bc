"""The socket of engines.

Junk, a lost engine, and an engine's silence, judged by a process that may have stood still itself.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Heartbeat, Start
from output_handler.hub import Hub
from output_handler.ingest import socket as ingest_socket
from output_handler.ingest.connection import HEARTBEAT_TIMEOUT_S, EngineConnection
from output_handler.testing.session_driver import FLAGS
from output_handler.viewers.viewer import Viewer

if TYPE_CHECKING:
    from conftest import Output

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
Wired = Callable[..., Awaitable[object]]


async def test_junk_from_an_engine_ends_nothing(output: "Output") -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.engine.send("junk")
        await output.engine.send(b"junk")
        await output.start()
        assert (await output.until(viewer, "START"))["turn"] == 1


async def test_a_lost_engine_is_told_to_viewers_and_a_new_one_takes_over(output: "Output") -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start()
        await output.until(viewer, "START")
        await output.engine.close()
        assert (await output.until(viewer, "ERROR"))["code"] == "engine_lost"
        async with connect(f"{output.url}/ws/ingest/tts", proxy=None) as engine:
            assert json.loads(await engine.recv())["action"] == "SUBSCRIBE"
            await engine.send(Start(session_id="live-001", turn=2, epoch=1, flags=FLAGS).to_json())
            assert (await output.until(viewer, "START"))["turn"] == 2


async def test_who_stood_still_himself_does_not_say_that_the_engine_did(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    link = EngineConnection(await wired([]))  # type: ignore[arg-type]
    hub.engine_joined(link)
    watching = asyncio.create_task(ingest_socket._watch_engine(hub, link))
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
