"""The socket to an output-handler: a real one in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from dialog_contracts.ingest import Heartbeat, Played, Stop, Subscribe
from dialog_engine.output import connection
from dialog_engine.output.connection import MAX_QUEUE_BYTES, OutputEventHandlers
from dialog_engine.output.registry import OutputHandlers
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

ALIVE = Heartbeat().to_json()


class OutputHandler:
    """What the engine sent, and what came back to its hooks."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.sockets: list[ServerConnection] = []
        self.back: list[object] = []
        self.alive = 0

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for frame in socket:
            assert isinstance(frame, str)
            if frame == ALIVE:
                self.alive += 1
            else:
                self.received.append(frame)

    @property
    def hooks(self) -> OutputEventHandlers:
        return OutputEventHandlers(
            lambda stop, _: self.back.append(stop),
            lambda hold, _: self.back.append(hold),
            lambda played, _: self.back.append(played),
            lambda session, _: self.back.append(session),
        )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[OutputHandler, OutputHandlers]]:
    handler, tasks = OutputHandler(), BackgroundTasks()
    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        outputs = OutputHandlers([f"ws://127.0.0.1:{port}/ws/ingest/tts"], handler.hooks)
        outputs.start(tasks)
        await until(lambda: outputs.connections[0].connected)
        try:
            yield handler, outputs
        finally:
            await tasks.close()


def subscribe(session: str, action: str = "SUBSCRIBE") -> str:
    return Subscribe.model_validate({"action": action, "sessionId": session}).to_json()


async def test_a_session_goes_only_to_outputs_that_have_its_viewers() -> None:
    async with linked() as (handler, outputs):
        outputs.publish("a", "before")
        await handler.sockets[0].send(subscribe("a"))
        await until(lambda: outputs.has_viewers("a"))
        outputs.publish("a", "one")
        outputs.publish("b", "not wanted")
        outputs.publish("a", "two")
        await until(lambda: len(handler.received) == 2)
        assert handler.received == ["one", "two"]
        await handler.sockets[0].send(subscribe("a", "UNSUBSCRIBE"))
        await until(lambda: not outputs.has_viewers("a"))
        assert handler.back == ["a"]


async def test_stop_and_positions_come_back_and_junk_is_counted_without_harm() -> None:
    async with linked() as (handler, _):
        before = metrics.REQUESTS_REJECTED.labels(code="bad_back_frame")._value.get()
        await handler.sockets[0].send('{"type":"CONTROL","action":"DANCE"}')
        await handler.sockets[0].send("not json")
        await handler.sockets[0].send(Stop(session_id="a", turn=3).to_json())
        await handler.sockets[0].send(Played(session_id="a", turn=3, offset_ms=120).to_json())
        await until(lambda: len(handler.back) == 2)
        assert handler.back == [
            Stop(session_id="a", turn=3),
            Played(session_id="a", turn=3, offset_ms=120),
        ]
        assert metrics.REQUESTS_REJECTED.labels(code="bad_back_frame")._value.get() == before + 2


async def test_a_broken_socket_is_opened_again_and_starts_without_old_frames() -> None:
    async with linked() as (handler, outputs):
        await handler.sockets[0].send(subscribe("a"))
        await until(lambda: outputs.has_viewers("a"))
        await handler.sockets[0].close()
        await until(lambda: not outputs.has_viewers("a"))
        outputs.publish("a", "lost")
        await until(lambda: len(handler.sockets) == 2)
        await handler.sockets[1].send(subscribe("a"))
        await until(lambda: outputs.has_viewers("a"))
        outputs.publish("a", "new")
        await until(lambda: handler.received)
        assert handler.received == ["new"]


async def test_more_than_the_queue_holds_is_dropped_and_counted_but_control_frames_are_not() -> (
    None
):
    async with linked() as (handler, outputs):
        await handler.sockets[0].send(subscribe("a"))
        await until(lambda: outputs.has_viewers("a"))
        before = metrics.INGEST_DROPPED.labels(reason="queue_full")._value.get()
        chunk = "x" * 60_000
        for _ in range(MAX_QUEUE_BYTES // len(chunk) + 5):
            outputs.publish("a", chunk, droppable=True)
        outputs.publish("a", "end")
        assert metrics.INGEST_DROPPED.labels(reason="queue_full")._value.get() >= before + 3
        await until(lambda: handler.received and handler.received[-1] == "end")


async def test_an_engine_with_nothing_to_say_says_that_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_INTERVAL_S", 0.02)
    async with linked() as (handler, outputs):
        await until(lambda: handler.alive >= 3)
        await handler.sockets[0].send(subscribe("a"))
        await until(lambda: outputs.has_viewers("a"))
        outputs.publish("a", "said")
        await until(lambda: handler.received == ["said"])


async def test_an_output_handler_that_is_not_there_is_tried_again() -> None:
    tasks = BackgroundTasks()
    outputs = OutputHandlers(["ws://127.0.0.1:9/ws/ingest/tts"], OutputHandler().hooks)
    outputs.start(tasks)
    await asyncio.sleep(0.3)
    assert not outputs.connections[0].connected
    outputs.connections[0].send("nobody hears this")
    await tasks.close()
    with pytest.raises(RuntimeError, match="closed"):
        outputs.start(tasks)


async def test_one_that_is_not_there_is_worth_a_line_after_two_seconds_and_only_once(
    later: Callable[[float], None],
) -> None:
    handler = OutputHandler()
    with capture_logs() as lines:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
        link = connection.OutputConnection(f"ws://127.0.0.1:{port}/ws/ingest/tts", handler.hooks)
        for _ in range(3):
            await link.run()
        assert [line["event"] for line in lines] == [], "all processes start at once"
        for _ in range(3):
            later(connection.CONNECT_TIMEOUT_S)
            await link.run()
        assert [line["event"] for line in lines] == ["output_not_connected"]
