import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dialog_contracts import binary, limits
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, SpeechChunk, Start, Stop, StopAck, TextDelta
from dialog_telemetry import metrics
from output_handler.app import build
from output_handler.settings import OutputSettings
from output_handler.sockets import BAD_FRAMES_MAX
from service_runtime.testing.local_server import serving

V2, V2_BIN = Subprotocol("vtuber.v2"), Subprotocol("vtuber.v2.bin")
FLAGS = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)


@dataclass
class Output:
    """A running output-handler and one engine's socket to it."""

    url: str
    engine: ClientConnection

    def viewer(self, session_id: str = "live-001", *, protocol: Subprotocol | None = V2, **options: Any) -> connect:
        protocols = None if protocol is None else [protocol]
        return connect(f"{self.url}/ws/output/{session_id}", subprotocols=protocols, compression=None, proxy=None, **options)

    async def subscribed(self) -> None:
        assert json.loads(await self.engine.recv())["action"] == "SUBSCRIBE"

    async def start(self, flags: FlagSet = FLAGS) -> None:
        await self.engine.send(Start(session_id="live-001", turn=1, epoch=1, flags=flags).to_json())

    async def chunk(self, seq: int) -> SpeechChunk:
        pcm = base64.b64encode(bytes([seq % 256, 1]) * 960).decode()
        sent = SpeechChunk(
            session_id="live-001", turn=1, seq=seq, pcm=pcm, viseme={"aa": 0.7}, ts=1.5, offset_ms=seq * 40, text_end=2
        )
        await self.engine.send(sent.to_json())
        return sent


@pytest.fixture
async def output() -> AsyncIterator[Output]:
    app = build(OutputSettings(viewer_stuck_s=0.2))
    async with (
        serving(app) as port,
        connect(f"ws://127.0.0.1:{port}/ws/ingest/tts", compression=None, proxy=None) as engine,
    ):
        yield Output(f"ws://127.0.0.1:{port}", engine)


async def until(viewer: ClientConnection, kind: str) -> dict[str, Any]:
    """The next JSON frame whose type or action is this."""
    while True:
        raw = await asyncio.wait_for(viewer.recv(), 5)
        if isinstance(raw, str):
            frame: dict[str, Any] = json.loads(raw)
            if kind in (frame.get("type"), frame.get("action"), frame.get("phase")):
                return frame


async def close_of(viewer: ClientConnection) -> tuple[int | None, str]:
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            async for _ in viewer:
                continue
    return viewer.close_code, viewer.close_reason or ""


async def test_chunks_arrive_in_json_just_as_the_engine_sent_them(output: Output) -> None:
    async with output.viewer() as viewer:
        assert viewer.subprotocol == V2
        await output.subscribed()
        assert (await until(viewer, "STATE"))["phase"] == "IDLE"
        await output.start()
        started = await until(viewer, "START")
        assert started["startedAt"] > 0
        sent = [await output.chunk(seq) for seq in range(3)]
        assert (await until(viewer, "SPEAKING"))["startedAt"] >= started["startedAt"]
        for chunk in sent:
            assert await viewer.recv() == chunk.to_json()
        await output.engine.send(TextDelta(session_id="live-001", turn=1, content="今晚").to_json())
        assert (await until(viewer, "TEXT_DELTA"))["content"] == "今晚"
        await output.engine.send(End(session_id="live-001", turn=1, audio_ms=120).to_json())
        assert await until(viewer, "END") == {
            "type": "CONTROL",
            "action": "END",
            "sessionId": "live-001",
            "turn": 1,
            "audioMs": 120,
        }
        assert (await until(viewer, "STATE"))["phase"] == "IDLE"


async def test_binary_chunks_unpack_to_what_the_engine_sent(output: Output) -> None:
    async with output.viewer(protocol=V2_BIN) as viewer:
        assert viewer.subprotocol == V2_BIN
        await output.subscribed()
        await output.start()
        sent = [await output.chunk(seq) for seq in range(3)]
        await until(viewer, "SPEAKING")
        for chunk in sent:
            raw = await viewer.recv()
            assert isinstance(raw, bytes)
            read = binary.unpack(raw)
            assert read.payload == base64.b64decode(chunk.pcm)
            assert (read.turn, read.seq, read.offset_ms, read.text_end, read.ts) == (1, chunk.seq, chunk.offset_ms, 2, 1.5)
            assert read.viseme == {"aa": pytest.approx(0.7, abs=0.01)}


async def test_of_two_offered_dialects_the_binary_one_is_chosen_and_an_unknown_one_is_not(output: Output) -> None:
    address = f"{output.url}/ws/output/live-001"
    async with connect(address, subprotocols=[V2, V2_BIN], proxy=None) as viewer:
        assert viewer.subprotocol == V2_BIN
    async with connect(address, subprotocols=[Subprotocol("vtuber.v9")], proxy=None) as viewer:
        assert viewer.subprotocol is None


async def test_without_a_dialect_a_turn_comes_as_text_and_one_file(output: Output) -> None:
    async with output.viewer(protocol=None) as viewer:
        await output.subscribed()
        await output.start()
        for seq in range(50):
            await output.chunk(seq)
        await output.engine.send(TextDelta(session_id="live-001", turn=1, content="好", eos=True).to_json())
        await output.engine.send(End(session_id="live-001", turn=1).to_json())
        assert json.loads(await viewer.recv()) == {
            "status": "success",
            "task_id": "live-001",
            "content": "好",
            "audio_present": True,
        }
        slices: list[bytes] = []
        while (head := json.loads(await viewer.recv()))["type"] == "audio_chunk":
            assert (head["chunk_id"], head["total_chunks"]) == (len(slices), 2)
            piece = await viewer.recv()
            assert isinstance(piece, bytes)
            slices.append(piece)
        assert head == {"type": "audio_complete", "task_id": "live-001"}
        assert [len(piece) for piece in slices] == [65_536, 44 + 50 * 1920 - 65_536]


async def test_time_is_answered_with_the_clock_that_start_speaks_of(output: Output) -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await viewer.send('{"type":"TIME","t0":1520.25}')
        before = await until(viewer, "TIME")
        await output.start()
        started = await until(viewer, "START")
        await viewer.send('{"type":"TIME","t0":1}')
        after = await until(viewer, "TIME")
        assert before["t0"] == 1520.25
        assert before["t1"] <= started["startedAt"] <= after["t1"]


async def test_bad_frames_are_answered_then_end_the_connection(output: Output) -> None:
    junk: list[str | bytes] = ["", "[]", "{", '{"type":"CONTROL","action":"START"}', b"bytes where text belongs"]
    async with output.viewer() as viewer:
        for frame in junk:
            await viewer.send(frame)
            assert (await until(viewer, "ERROR"))["code"] == "bad_frame"
        for _ in range(BAD_FRAMES_MAX - len(junk)):
            await viewer.send("x")
        assert await close_of(viewer) == (1008, "too many bad frames")


async def test_a_client_that_is_gone_while_it_is_refused_leaves_no_crash(
    output: Output, caplog: pytest.LogCaptureFixture
) -> None:
    async with output.viewer() as viewer:
        for _ in range(BAD_FRAMES_MAX * 3):
            await viewer.send("x")
        viewer.transport.abort()
    await asyncio.sleep(0.05)
    async with output.viewer() as viewer:
        assert (await until(viewer, "STATE"))["phase"] == "IDLE"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"CONTROL","action":"STOP","sessionId":"live-002"}',
        '{"type":"PLAYED","sessionId":"live-002","turn":1,"offsetMs":5}',
    ],
)
async def test_a_viewer_speaks_only_for_its_own_session(output: Output, frame: str) -> None:
    async with output.viewer() as viewer, output.viewer("live-002") as other:
        await viewer.send(frame)
        error = await until(viewer, "ERROR")
        assert (error["code"], "live-001" in error["message"]) == ("bad_frame", True)
        assert (await until(other, "STATE"))["phase"] == "IDLE"


@pytest.mark.parametrize("name", ["a.b", "x" * 65, "%E7%9B%B4%E6%92%AD", "a%20b", "live%0A"])
async def test_an_illegal_session_id_is_closed_with_4004(output: Output, name: str) -> None:
    async with output.viewer(name) as viewer:
        code, reason = await close_of(viewer)
        assert code == 4004
        assert "1 to 64" in reason


async def test_a_viewers_stop_reaches_the_engine_and_every_viewer(output: Output) -> None:
    async with output.viewer() as viewer, output.viewer(protocol=V2_BIN) as other:
        await output.subscribed()
        await output.start()
        await output.chunk(0)
        await until(viewer, "SPEAKING")
        await viewer.send(Stop(session_id="live-001").to_json())
        assert json.loads(await output.engine.recv()) == {
            "type": "CONTROL",
            "action": "STOP",
            "sessionId": "live-001",
            "turn": 1,
            "reason": "viewer",
        }
        for one in (viewer, other):
            assert (await until(one, "STOP"))["turn"] == 1
            assert (await until(one, "STATE"))["phase"] == "INTERRUPTED"
        await output.chunk(1)
        await output.engine.send(StopAck(session_id="live-001", turn=1, heard_text="今").to_json())
        for one in (viewer, other):
            assert json.loads(await one.recv())["action"] == "STOP_ACK"


async def test_a_stop_that_is_refused_is_told_to_who_asked(output: Output) -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start(FlagSet(SYNC_TTS_STREAMING=True))
        await until(viewer, "START")
        await viewer.send(Stop(session_id="live-001").to_json())
        assert (await until(viewer, "ERROR"))["code"] == "barge_in_off"


async def test_positions_reach_the_engine(output: Output) -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start()
        await until(viewer, "START")
        await viewer.send('{"type":"PLAYED","sessionId":"live-001","turn":1,"offsetMs":1240}')
        assert json.loads(await output.engine.recv())["offsetMs"] == 1240


async def test_a_lost_engine_is_told_to_viewers_and_a_new_one_takes_over(output: Output) -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start()
        await until(viewer, "START")
        await output.engine.close()
        assert (await until(viewer, "ERROR"))["code"] == "engine_lost"
        async with connect(f"{output.url}/ws/ingest/tts", proxy=None) as engine:
            assert json.loads(await engine.recv())["action"] == "SUBSCRIBE"
            await engine.send(Start(session_id="live-001", turn=2, epoch=1, flags=FLAGS).to_json())
            assert (await until(viewer, "START"))["turn"] == 2


async def test_junk_from_an_engine_ends_nothing(output: Output) -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.engine.send("junk")
        await output.engine.send(b"junk")
        await output.start()
        assert (await until(viewer, "START"))["turn"] == 1


async def test_a_frame_over_the_limit_ends_the_connection(output: Output) -> None:
    async with output.viewer() as viewer:
        await viewer.send("x" * (limits.JSON_FRAME_BYTES + 1))
        assert (await close_of(viewer))[0] == 1009


async def test_a_viewer_that_reads_nothing_is_closed_and_delays_nobody(output: Output) -> None:
    async with output.viewer() as quick, output.viewer(max_queue=1) as stuck:
        await output.subscribed()
        await output.start()
        await until(quick, "START")
        closed = metrics.VIEWERS_CLOSED.labels(reason="too_slow")
        before = closed._value.get()
        # Enough for the kernel's buffers of a connection on this machine to fill.
        stuck.transport.pause_reading()
        loop = asyncio.get_running_loop()
        caption, began, number = "说" * 15_000, loop.time(), 0
        while loop.time() - began < 0.9:
            await output.engine.send(TextDelta(session_id="live-001", turn=1, content=caption, text_start=0).to_json())
            asked = loop.time()
            assert (await until(quick, "TEXT_DELTA"))["content"] == caption
            assert loop.time() - asked < 0.5
            number += 1
            await asyncio.sleep(0)
        assert number > 50
        assert closed._value.get() == before + 1
        stuck.transport.resume_reading()
        assert (await close_of(stuck))[0] in (1013, 1006)
