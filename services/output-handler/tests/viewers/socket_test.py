"""Viewers at a running output-handler, in all dialects."""

import base64
import json
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from dialog_contracts import binary
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, Stop, StopAck, TextDelta

if TYPE_CHECKING:
    from conftest import Output

V2, V2_BIN = Subprotocol("vtuber.v2"), Subprotocol("vtuber.v2.bin")


async def test_chunks_arrive_in_json_just_as_the_engine_sent_them(output: "Output") -> None:
    async with output.viewer() as viewer:
        assert viewer.subprotocol == V2
        await output.subscribed()
        assert (await output.until(viewer, "STATE"))["phase"] == "IDLE"
        await output.start()
        started = await output.until(viewer, "START")
        assert started["startedAt"] > 0
        sent = [await output.chunk(seq) for seq in range(3)]
        assert (await output.until(viewer, "SPEAKING"))["startedAt"] >= started["startedAt"]
        for chunk in sent:
            assert await viewer.recv() == chunk.to_json()
        await output.engine.send(TextDelta(session_id="live-001", turn=1, content="今晚").to_json())
        assert (await output.until(viewer, "TEXT_DELTA"))["content"] == "今晚"
        await output.engine.send(End(session_id="live-001", turn=1, audio_ms=120).to_json())
        assert await output.until(viewer, "END") == {
            "type": "CONTROL",
            "action": "END",
            "sessionId": "live-001",
            "turn": 1,
            "audioMs": 120,
        }
        assert (await output.until(viewer, "STATE"))["phase"] == "IDLE"


async def test_binary_chunks_unpack_to_what_the_engine_sent(output: "Output") -> None:
    async with output.viewer(protocol=V2_BIN) as viewer:
        assert viewer.subprotocol == V2_BIN
        await output.subscribed()
        await output.start()
        sent = [await output.chunk(seq) for seq in range(3)]
        await output.until(viewer, "SPEAKING")
        for chunk in sent:
            raw = await viewer.recv()
            assert isinstance(raw, bytes)
            read = binary.unpack(raw)
            assert read.payload == base64.b64decode(chunk.pcm)
            assert (read.turn, read.seq, read.offset_ms, read.text_end, read.ts) == (
                1,
                chunk.seq,
                chunk.offset_ms,
                2,
                1.5,
            )
            assert read.viseme == {"aa": pytest.approx(0.7, abs=0.01)}


async def test_of_two_offered_dialects_the_binary_one_is_chosen_and_an_unknown_one_is_not(
    output: "Output",
) -> None:
    address = f"{output.url}/ws/output/live-001"
    async with connect(address, subprotocols=[V2, V2_BIN], proxy=None) as viewer:
        assert viewer.subprotocol == V2_BIN
    async with connect(address, subprotocols=[Subprotocol("vtuber.v9")], proxy=None) as viewer:
        assert viewer.subprotocol is None


async def test_without_a_dialect_a_turn_comes_as_text_and_one_file(output: "Output") -> None:
    async with output.viewer(protocol=None) as viewer:
        await output.subscribed()
        await output.start()
        for seq in range(50):
            await output.chunk(seq)
        await output.engine.send(
            TextDelta(session_id="live-001", turn=1, content="好", eos=True).to_json()
        )
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


async def test_time_is_answered_with_the_clock_that_start_speaks_of(output: "Output") -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await viewer.send('{"type":"TIME","t0":1520.25}')
        before = await output.until(viewer, "TIME")
        await output.start()
        started = await output.until(viewer, "START")
        await viewer.send('{"type":"TIME","t0":1}')
        after = await output.until(viewer, "TIME")
        assert before["t0"] == 1520.25
        assert before["t1"] <= started["startedAt"] <= after["t1"]


async def test_a_viewers_stop_reaches_the_engine_and_every_viewer(output: "Output") -> None:
    async with output.viewer() as viewer, output.viewer(protocol=V2_BIN) as other:
        await output.subscribed()
        await output.start()
        await output.chunk(0)
        await output.until(viewer, "SPEAKING")
        await viewer.send(Stop(session_id="live-001").to_json())
        assert json.loads(await output.engine.recv()) == {
            "type": "CONTROL",
            "action": "STOP",
            "sessionId": "live-001",
            "turn": 1,
            "reason": "viewer",
        }
        for one in (viewer, other):
            assert (await output.until(one, "STOP"))["turn"] == 1
            assert (await output.until(one, "STATE"))["phase"] == "INTERRUPTED"
        await output.chunk(1)
        await output.engine.send(StopAck(session_id="live-001", turn=1, heard_text="今").to_json())
        for one in (viewer, other):
            assert json.loads(await one.recv())["action"] == "STOP_ACK"


async def test_a_stop_that_is_refused_is_told_to_who_asked(output: "Output") -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start(FlagSet(SYNC_TTS_STREAMING=True))
        await output.until(viewer, "START")
        await viewer.send(Stop(session_id="live-001").to_json())
        assert (await output.until(viewer, "ERROR"))["code"] == "barge_in_off"


async def test_positions_reach_the_engine(output: "Output") -> None:
    async with output.viewer() as viewer:
        await output.subscribed()
        await output.start()
        for seq in range(6):
            await output.chunk(seq)
        await output.until(viewer, "STATE")
        await viewer.send('{"type":"PLAYED","sessionId":"live-001","turn":1,"offsetMs":120}')
        assert 120 <= json.loads(await output.engine.recv())["offsetMs"] <= 125
