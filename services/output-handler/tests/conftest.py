"""Three places to stand at: a viewer on a list, a session with the chain's post, and the sockets of a running output-handler.

Tests name these classes only for mypy: pytest's import mode gives test modules no neighbours at run time.
"""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import SpeechChunk, Start, Stop
from dialog_contracts.legacy_chain import TaskResponse
from output_handler.app import build
from output_handler.hub import Hub
from output_handler.legacy.response_player import LegacyResponsePlayer
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.ports import PlaybackTarget
from output_handler.playback.session import PlaybackSession
from output_handler.settings import OutputSettings
from output_handler.testing.fake_legacy import FakeLegacyPipeline, response
from output_handler.testing.golden import recorded
from output_handler.testing.session_driver import FLAGS, SessionDriver, now_ms, transcript_of
from output_handler.viewers.viewer import Viewer
from service_runtime.testing.local_server import serving


class Sent(list[str | bytes]):
    """What a viewer was sent."""

    def told(self) -> list[str]:
        """The frames in short, without bytes, since the last time."""
        found = transcript_of([raw for raw in self if isinstance(raw, str)])
        self.clear()
        return found

    def without_chunks(self) -> list[str]:
        return [line for line in self.told() if not line.startswith("CHUNK")]

    def chunks(self) -> list[dict[str, Any]]:
        frames = [json.loads(raw) for raw in self if isinstance(raw, str)]
        return [frame for frame in frames if frame.get("type") == "SPEECH_CHUNK"]


Listen = Callable[..., Awaitable[tuple[Viewer, Sent]]]
GOLDEN = Path(__file__).parent / "golden_traces.json"


@pytest.fixture(autouse=True)
def golden_trace(request: pytest.FixtureRequest) -> Iterator[None]:
    """What sessions sent in this test is what they sent when its trace was recorded.

    `GOLDEN_TRACES=<file>` writes the traces of a run into a file instead of comparing them.
    """
    name = request.node.name
    with recorded() as trace:
        yield
    seen = {who: lines for who, lines in trace.items() if lines}
    into = os.environ.get("GOLDEN_TRACES")
    if into is not None:
        with open(into, "a") as file:
            file.write(json.dumps({name: seen}, ensure_ascii=False) + "\n")
        return
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if name in known:
        assert seen == known[name], "sessions sent something else than when the trace was recorded"


@pytest.fixture
def wired() -> Callable[..., Awaitable[WebSocket]]:
    """An accepted WebSocket whose network is a list.

    While `gate` is shut, the network takes nothing.
    """

    async def make(sent: list[str | bytes], gate: asyncio.Event | None = None) -> WebSocket:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            if gate is not None:
                await gate.wait()
            if message["type"] == "websocket.send":
                sent.append(
                    message["text"] if message.get("text") is not None else message["bytes"]
                )
            elif message["type"] == "websocket.close":
                sent.append(f"closed {message['code']}")

        opened = asyncio.Event() if gate is None else gate
        was_open = opened.is_set()
        opened.set()
        socket = WebSocket({"type": "websocket", "headers": [], "path": "/"}, receive, send)
        await socket.accept()
        if not was_open:
            opened.clear()
        return socket

    return make


@pytest.fixture
async def listen(wired: Callable[..., Awaitable[WebSocket]]) -> AsyncIterator[Listen]:
    """Joins a viewer to a session or a hub and keeps its writer running.

    Gives the viewer and what it was sent.
    """
    writers: list[asyncio.Task[None]] = []

    async def join(
        to: PlaybackSession | Hub | None = None,
        *,
        session_id: str = "live-001",
        legacy: bool = False,
        binary: bool = False,
        queue_ms: int = 2_000,
        stuck_s: float = 5.0,
        gate: asyncio.Event | None = None,
    ) -> tuple[Viewer, Sent]:
        sent = Sent()
        socket = await wired(sent, gate)
        limits: dict[str, Any] = {"queue_ms": queue_ms, "stuck_s": stuck_s}
        viewer = (
            LegacyViewer(socket, session_id, **limits)
            if legacy
            else Viewer(socket, session_id, binary=binary, **limits)
        )
        writers.append(asyncio.create_task(viewer.write()))
        if isinstance(to, PlaybackSession):
            to.join(viewer)
        elif isinstance(to, Hub):
            to.viewer_joined(viewer)
        return viewer, sent

    yield join
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)


@pytest.fixture
async def stage() -> AsyncIterator[SessionDriver]:
    to_engine: list[str] = []
    made = SessionDriver(PlaybackSession("live-001", now_ms, to_engine.append), to_engine)
    yield made
    made.session.close()


@dataclass
class Room:
    """A session that the chain's answers reach too."""

    stage: SessionDriver
    post: FakeLegacyPipeline
    player: LegacyResponsePlayer
    reported: list[Stop]

    @property
    def session(self) -> PlaybackSession:
        return self.stage.session

    async def voiced(self, turn: int, ms: int = 1_000, **more: Any) -> TaskResponse:
        """An answer with its voice file comes."""
        found = response(turn, blob=await self.post.voice(ms), **more)
        self.player.on_response(found)
        return found

    @property
    def heard(self) -> list[str]:
        return self.post.responses.delivered


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    post, to_engine = FakeLegacyPipeline(voice_within_s=30), list[str]()
    reported: list[Stop] = []
    players: list[LegacyResponsePlayer] = []

    def make_player(target: PlaybackTarget) -> LegacyResponsePlayer:
        players.append(LegacyResponsePlayer(target, post.source))
        return players[-1]

    session = PlaybackSession(
        "live-001",
        now_ms,
        to_engine.append,
        report_played_text=reported.append,
        make_player=make_player,
    )
    yield Room(SessionDriver(session, to_engine), post, players[0], reported)
    session.close()
    await post.tasks.close()


@dataclass
class Output:
    """A running output-handler and one engine's socket to it."""

    url: str
    engine: ClientConnection

    def viewer(
        self,
        session_id: str = "live-001",
        *,
        protocol: Subprotocol | None = Subprotocol("vtuber.v2"),
        **options: Any,
    ) -> connect:
        protocols = None if protocol is None else [protocol]
        return connect(
            f"{self.url}/ws/output/{session_id}",
            subprotocols=protocols,
            compression=None,
            proxy=None,
            **options,
        )

    async def subscribed(self) -> None:
        assert json.loads(await self.engine.recv())["action"] == "SUBSCRIBE"

    async def start(self, flags: FlagSet = FLAGS) -> None:
        await self.engine.send(Start(session_id="live-001", turn=1, epoch=1, flags=flags).to_json())

    async def chunk(self, seq: int) -> SpeechChunk:
        pcm = base64.b64encode(bytes([seq % 256, 1]) * 960).decode()
        sent = SpeechChunk(
            session_id="live-001",
            turn=1,
            seq=seq,
            pcm=pcm,
            viseme={"aa": 0.7},
            ts=1.5,
            offset_ms=seq * 40,
            text_end=2,
        )
        await self.engine.send(sent.to_json())
        return sent

    async def until(self, viewer: ClientConnection, kind: str) -> dict[str, Any]:
        """The viewer's next JSON frame whose type, action or phase is this."""
        while True:
            raw = await asyncio.wait_for(viewer.recv(), 5)
            if isinstance(raw, str):
                frame: dict[str, Any] = json.loads(raw)
                if kind in (frame.get("type"), frame.get("action"), frame.get("phase")):
                    return frame

    async def close_of(self, viewer: ClientConnection) -> tuple[int | None, str]:
        """How the viewer's connection ends: code and reason."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(5):
                async for _ in viewer:
                    continue
        return viewer.close_code, viewer.close_reason or ""


@pytest.fixture
async def output() -> AsyncIterator[Output]:
    app = build(OutputSettings(viewer_send_timeout_s=0.2))
    async with (
        serving(app) as port,
        connect(f"ws://127.0.0.1:{port}/ws/ingest/tts", compression=None, proxy=None) as engine,
    ):
        yield Output(f"ws://127.0.0.1:{port}", engine)
