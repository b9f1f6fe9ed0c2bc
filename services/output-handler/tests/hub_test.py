import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.websockets import WebSocket

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, Start, Stop, TextDelta
from dialog_redis.client import RedisUnavailable
from dialog_redis.session_history import SessionHistory
from dialog_telemetry import metrics
from output_handler import hub as hub_module
from output_handler.errors import UnknownSession
from output_handler.hub import Hub
from output_handler.ingest.connection import MAX_QUEUED_FRAMES, EngineConnection
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
Wired = Callable[..., Awaitable[WebSocket]]
Joins = Callable[[], Awaitable[tuple[EngineConnection, list[str | bytes]]]]
pytestmark = pytest.mark.looptime

BARGE_IN = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub(linger_s=5)
    yield made
    made.close()


@pytest.fixture
async def engine(wired: Wired) -> AsyncIterator[Joins]:
    """Engines; each is given with what it is told."""
    writers: list[asyncio.Task[None]] = []

    async def connected() -> tuple[EngineConnection, list[str | bytes]]:
        heard: list[str | bytes] = []
        link = EngineConnection(await wired(heard))
        writers.append(asyncio.create_task(link.write()))
        return link, heard

    yield connected
    for writer in writers:
        writer.cancel()


async def told(heard: list[str | bytes]) -> list[str]:
    for _ in range(5):
        await asyncio.sleep(0)
    found = [f"{frame['action']} {frame['sessionId']}" for frame in map(json.loads, heard)]
    heard.clear()
    return found


def start(session_id: str = "live-001", turn: int = 1, epoch: int = 1) -> str:
    return Start(session_id=session_id, turn=turn, epoch=epoch, flags=BARGE_IN).to_json()


async def test_engines_are_told_which_sessions_are_played_here(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    first, heard = await engine()
    hub.engine_joined(first)
    viewer, _ = await listen(hub)
    await listen(hub)
    await listen(hub, session_id="live-002")
    assert await told(heard) == ["SUBSCRIBE live-001", "SUBSCRIBE live-002"]
    second, late = await engine()
    hub.engine_joined(second)
    assert await told(late) == ["SUBSCRIBE live-001", "SUBSCRIBE live-002"]
    assert hub.engines == 2
    hub.engine_left(first)
    assert hub.engines == 1
    hub.viewer_left(viewer)


async def test_a_session_lingers_for_a_reload_then_ends(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    link, heard = await engine()
    hub.engine_joined(link)
    viewer, _ = await listen(hub)
    session = hub.session("live-001")
    hub.viewer_left(viewer)
    await asyncio.sleep(4)
    again, _ = await listen(hub)
    assert hub.session("live-001") is session
    await asyncio.sleep(10)
    assert await told(heard) == ["SUBSCRIBE live-001"]
    hub.viewer_left(again)
    await asyncio.sleep(5.1)
    assert hub.session("live-001") is None
    assert await told(heard) == ["UNSUBSCRIBE live-001"]


async def test_stop_reaches_only_the_engine_that_owns_the_turn(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    one, to_one = await engine()
    two, to_two = await engine()
    for link in (one, two):
        hub.engine_joined(link)
    await listen(hub)
    await listen(hub, session_id="live-002")
    await told(to_one), await told(to_two)
    hub.on_engine_frame(one, start("live-001"))
    hub.on_engine_frame(two, start("live-002"))
    assert await hub.stop("live-001", None, "x")
    assert await told(to_one) == ["STOP live-001"]
    assert await told(to_two) == []
    assert await hub.stop("live-002", None, "x")
    assert await told(to_two) == ["STOP live-002"]


async def test_a_sleeper_that_wakes_up_neither_speaks_nor_takes_the_stop(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    owner, to_owner = await engine()
    sleeper, to_sleeper = await engine()
    for link in (owner, sleeper):
        hub.engine_joined(link)
    _, heard = await listen(hub)
    await told(to_owner), await told(to_sleeper)
    hub.on_engine_frame(owner, start(turn=3, epoch=2))
    hub.on_engine_frame(sleeper, start(turn=9, epoch=1))
    hub.on_engine_frame(
        sleeper, TextDelta(session_id="live-001", turn=3, content="from the past").to_json()
    )
    hub.on_engine_frame(sleeper, End(session_id="live-001", turn=3).to_json())
    hub.on_engine_frame(owner, TextDelta(session_id="live-001", turn=3, content="now").to_json())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "from the past" not in str(heard)
    assert '"END"' not in str(heard)
    assert "now" in str(heard)
    await hub.stop("live-001", None, "x")
    assert await told(to_owner) == ["STOP live-001"]
    assert await told(to_sleeper) == []


async def test_only_the_end_of_the_owner_is_a_lost_engine(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    old, _ = await engine()
    new, _ = await engine()
    hub.engine_joined(old)
    _, heard = await listen(hub)
    hub.on_engine_frame(old, start())
    hub.engine_joined(new)
    hub.on_engine_frame(new, start())
    hub.engine_left(old)
    await asyncio.sleep(0)
    assert "engine_lost" not in str(heard)
    hub.engine_left(new)
    for _ in range(5):
        await asyncio.sleep(0)
    assert "engine_lost" in str(heard)


async def test_a_bad_frame_is_counted_and_the_rest_goes_on(
    hub: Hub, engine: Joins, listen: Listen
) -> None:
    link, _ = await engine()
    hub.engine_joined(link)
    _, heard = await listen(hub)
    refused = metrics.REQUESTS_REJECTED.labels(code="bad_ingest_frame")
    before = refused._value.get()
    chunk = {
        "type": "SPEECH_CHUNK",
        "sessionId": "live-001",
        "turn": 1,
        "seq": 0,
        "ts": 1,
        "offsetMs": 0,
    }
    hub.on_engine_frame(link, start())
    for junk in (
        "",
        "{}",
        "[" * 5000,
        json.dumps({**chunk, "pcm": "no base64"}),
        json.dumps({**chunk, "pcm": "A", "seq": -1}),
    ):
        hub.on_engine_frame(link, junk)
    assert refused._value.get() == before + 5
    hub.on_engine_frame(link, json.dumps({**chunk, "pcm": "AAAA"}))
    for _ in range(5):
        await asyncio.sleep(0)
    assert "SPEECH_CHUNK" in str(heard)


async def test_frames_of_a_session_without_viewers_are_dropped(hub: Hub, engine: Joins) -> None:
    link, _ = await engine()
    hub.engine_joined(link)
    hub.on_engine_frame(link, start("nobody-here"))
    assert hub.session("nobody-here") is None
    with pytest.raises(UnknownSession):
        await hub.stop("nobody-here", None, "x")


async def test_a_session_stays_known_after_its_viewers_have_left(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_REMEMBERED_SESSIONS", 2)
    hub = Hub(linger_s=0)
    for number in range(3):
        viewer, _ = await listen(hub, session_id=f"live-{number}")
        hub.viewer_left(viewer)
        await asyncio.sleep(0.1)
    with pytest.raises(UnknownSession, match="live-0"):
        await hub.stop("live-0", None, "x")
    assert await hub.stop("live-1", None, "x") is False
    assert await hub.stop("live-2", None, "x") is False


async def test_an_engine_that_reads_nothing_costs_a_bounded_queue(wired: Wired) -> None:
    gate = asyncio.Event()
    link = EngineConnection(await wired([], gate))
    dropped = metrics.INGEST_DROPPED.labels(reason="engine_reads_nothing")
    before = dropped._value.get()
    for _ in range(MAX_QUEUED_FRAMES + 5):
        link.send("{}")
    assert dropped._value.get() == before + 5


class Remembered(SessionHistory):
    """What Redis remembers."""

    def __init__(self, *names: str) -> None:
        self.names, self.down = names, False

    async def exists(self, session_id: str) -> bool:
        if self.down:
            raise RedisUnavailable("history", "ConnectionError")
        return session_id in self.names


async def test_a_session_that_another_replica_played_is_not_unknown_here() -> None:
    history = Remembered("live-001")
    hub = Hub(0.05, history=history)
    assert not await hub.stop("live-001", 3, "x")
    with pytest.raises(UnknownSession):
        await hub.stop("live-002", None, "x")
    history.down = True
    with pytest.raises(UnknownSession):
        await hub.stop("live-001", None, "x")


async def test_what_was_heard_of_a_file_goes_to_history_and_to_every_engine(
    engine: Joins,
) -> None:
    filed: list[Stop] = []
    hub = Hub(0.05, truncate_reply=filed.append)
    links = [await engine() for _ in range(2)]
    for link, _ in links:
        hub.engine_joined(link)
    stop = Stop(session_id="live-001", turn=3, heard_text="Tonight we")
    hub._report_played_text(stop)
    for _ in range(5):
        await asyncio.sleep(0)
    assert filed == [stop]
    assert [[Stop.from_json(str(raw)) for raw in heard] for _, heard in links] == [[stop], [stop]]
