"""Output-handlers behind one name come and go.

Real sockets on several addresses of this machine, and a name server of the test's own.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from dialog_contracts.ingest import Heartbeat, Subscribe
from dialog_engine.output import registry as module
from dialog_engine.output.connection import OutputEventHandlers
from dialog_engine.output.registry import OutputHandlers, resolve_all
from service_runtime.aio.background_tasks import BackgroundTasks


class Names:
    """What the name server says; an empty set is a name without addresses."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    async def __call__(self, host: str, port: int) -> set[str]:
        if not self.found:
            raise OSError(f"{host} has no address")
        return set(self.found)


class Pod:
    """An output-handler with one viewer of session `a`."""

    def __init__(self) -> None:
        self.received: list[str | bytes] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.send(Subscribe(action="SUBSCRIBE", session_id="a").to_json())
        async for frame in socket:
            # An engine that had nothing to say for a quarter of a second says that it is there.
            if frame != Heartbeat().to_json():
                self.received.append(frame)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def pod_at(stack: AsyncExitStack, address: str, port: int) -> tuple[Pod, Server, int]:
    pod = Pod()
    server = await stack.enter_async_context(serve(pod, address, port))
    return pod, server, next(iter(server.sockets)).getsockname()[1]


async def test_every_address_of_a_name_gets_a_link_and_a_pod_that_left_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFRESH_INTERVAL_S", 0.02)
    names, tasks = Names(), BackgroundTasks()
    async with AsyncExitStack() as stack:
        first, first_server, port = await pod_at(stack, "127.0.0.1", 0)
        second, _, _ = await pod_at(stack, "127.0.0.2", port)
        hooks = OutputEventHandlers(
            lambda *_: None, lambda *_: None, lambda *_: None, lambda *_: None
        )
        outputs = OutputHandlers(
            [f"ws://output-handler:{port}/ws/ingest/tts"], hooks, resolve=names
        )
        outputs.start(tasks)
        stack.push_async_callback(tasks.close)
        await asyncio.sleep(0.05)
        assert outputs.connections == []
        names.found = {"127.0.0.1"}
        await until(lambda: outputs.has_viewers("a"))
        names.found = {"127.0.0.1", "127.0.0.2"}
        await until(lambda: sum("a" in link.sessions for link in outputs.connections) == 2)
        outputs.publish("a", "to both")
        await until(lambda: first.received == second.received == ["to both"])

        names.found = {"127.0.0.2"}
        await asyncio.sleep(0.1)
        outputs.publish("a", "the leaving one still speaks")
        await until(lambda: len(first.received) == len(second.received) == 2)
        first_server.close()
        await until(
            lambda: (
                [link.url for link in outputs.connections]
                == [f"ws://127.0.0.2:{port}/ws/ingest/tts"]
            )
        )
        names.found = set()
        await asyncio.sleep(0.05)
        outputs.publish("a", "a name server that is away takes nobody away")
        await until(lambda: len(second.received) == 3)


async def test_a_name_gives_addresses_of_one_family() -> None:
    found = await resolve_all("localhost", 80)
    assert found in ({"127.0.0.1"}, {"::1"})
