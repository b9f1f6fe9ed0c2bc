import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.typing import Subprotocol

from dialog_contracts import limits
from dialog_contracts.input_socket import TurnEvent
from dialog_contracts.viewer import SUBPROTOCOL
from dialog_telemetry import metrics
from input_handler.api.input_socket import MAX_BAD_FRAMES, MAX_FRAMES_PER_SECOND
from input_handler.app import build
from input_handler.legacy import upload_session
from input_handler.settings import InputSettings
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    HANG,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    refusal,
)
from service_runtime.testing.local_server import serving

WHOLE = ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])
Dial = Callable[..., connect]


@pytest.fixture
async def dial(engine_url: str, no_redis_url: str) -> AsyncIterator[Dial]:
    settings = InputSettings(
        dialog_engine_url=engine_url,
        redis_url=no_redis_url,
        engine_accept_timeout_s=10,
        max_turns_per_connection=2,
    )

    async with serving(build(settings), ws_max_bytes=limits.MAX_BINARY_FRAME_BYTES) as port:

        def to(query: str = "?sessionId=live-001", *, v2: bool = False) -> connect:
            protocols = [Subprotocol("vtuber.v2")] if v2 else None
            return connect(
                f"ws://127.0.0.1:{port}/ws/input{query}",
                subprotocols=protocols,
                compression=None,
                proxy=None,
            )

        yield to


async def answer(socket: ClientConnection) -> Any:
    raw = await asyncio.wait_for(socket.recv(), 2)
    assert isinstance(raw, str)
    return json.loads(raw) if raw.startswith("{") else raw


async def assigned(socket: ClientConnection) -> str:
    first = await answer(socket)
    assert (first["type"], first["action"]) == ("system", "task_id_assigned")
    return str(first["task_id"])


async def closed(socket: ClientConnection) -> int | None:
    await asyncio.wait_for(socket.wait_closed(), 2)
    return socket.close_code


def say(content: str, request_id: str = "r-1", **more: object) -> str:
    return json.dumps(
        {"type": "TEXT", "content": content, "meta": {"requestId": request_id}, **more}
    )


async def test_an_older_client_uploads_text_and_is_told_it_was_really_taken(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [WHOLE]
    async with dial("") as socket:
        assert socket.subprotocol is None
        task_id = await assigned(socket)
        assert str(uuid.UUID(task_id)) == task_id
        await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk"}')
        await socket.send("今晚玩什么？".encode())
        assert await answer(socket) == "File chunk received"
        await socket.send('{"action":"upload_complete","lang":"zh"}')
        assert await answer(socket) == {
            "type": "system",
            "action": "upload_processed",
            "status": "queued",
            "task_id": task_id,
        }
    (sent,) = engine.requests
    assert (sent.session_id, sent.content, sent.meta.lang) == (task_id, "今晚玩什么？", "zh")


async def test_an_older_client_may_leave_at_once_and_its_turn_goes_on(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    async with dial() as socket:
        assert await assigned(socket) == "live-001"
        await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk","text":"hi"}')
        await socket.send('{"action":"upload_complete"}')
        assert await answer(socket) == "File chunk received"
        assert (await answer(socket))["status"] == "queued"
    await asyncio.sleep(0.1)
    assert not engine.left.is_set()


async def test_an_upload_that_failed_is_not_called_queued(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [refusal(500, "internal")]
    async with dial() as socket:
        await assigned(socket)
        await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk","text":"hi"}')
        await socket.send('{"action":"upload_complete"}')
        await answer(socket)
        failed = await answer(socket)
        assert failed["status"] == "error"
        assert failed["error"].startswith("legacy_unavailable")
        await socket.send('{"action":"upload_complete"}')
        assert (await answer(socket))["error"] == "the upload is empty"


@pytest.mark.parametrize(
    ("frames", "last"),
    [
        ([b"bytes"], "Error: No metadata received before binary data"),
        (
            ['{"type":"text","chunk_id":3,"action":"data_chunk"}'],
            "Chunk ID mismatch: expected 0, got 3",
        ),
        (["no json"], "Invalid JSON format"),
        (["[1]"], "Invalid JSON format"),
        (['{"a":' * 5000], "Invalid JSON format"),
    ],
)
async def test_mistakes_are_answered_in_the_words_of_the_older_dialect(
    dial: Dial, frames: list[str | bytes], last: str
) -> None:
    async with dial() as socket:
        await assigned(socket)
        for frame in frames:
            await socket.send(frame)
        assert await answer(socket) == last


async def test_text_that_is_blank_too_long_or_in_no_language_is_refused_by_name(dial: Dial) -> None:
    async with dial() as socket:
        await assigned(socket)
        for text, end, named in (
            (" ", '{"action":"upload_complete"}', "content"),
            ("x" * 4000 + "y", '{"action":"upload_complete"}', "content"),
            ("hi", '{"action":"upload_complete","lang":"?"}', "lang"),
        ):
            await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk"}')
            await socket.send(text.encode())
            await answer(socket)
            await socket.send(end)
            refused = await answer(socket)
            assert refused["status"] == "error"
            assert named in refused["error"]


async def test_a_newer_client_gets_the_events_of_its_turn(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [WHOLE]
    async with dial(v2=True) as socket:
        assert socket.subprotocol == "vtuber.v2"
        await assigned(socket)
        await socket.send(say("今晚玩什么？"))
        got = [TurnEvent.model_validate(await answer(socket)) for _ in range(3)]
        assert [(event.id, event.event, event.request_id) for event in got] == [
            ("1.0", "control", "r-1"),
            ("1.1", "text-delta", "r-1"),
            ("1.2", "done", "r-1"),
        ]
        assert {event.session_id for event in got} == {"live-001"}
        assert got[1].data == {"content": "今晚", "eos": False}


async def test_a_newer_clients_turn_ends_with_its_connection(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    async with dial(v2=True) as socket:
        await assigned(socket)
        await socket.send(say("hi"))
        assert (await answer(socket))["event"] == "control"
    await asyncio.wait_for(engine.left.wait(), 1)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (say(" "), "invalid"),
        (say("x" * 4001), "invalid"),
        (say("hi", request_id="a b"), "invalid"),
        ("junk", "invalid_json"),
        ('{"type":"SONG"}', "invalid"),
        (
            '{"type":"MIC_START","sessionId":"another","format":"opus","sampleRate":48000}',
            "invalid",
        ),
    ],
)
async def test_a_newer_clients_mistakes_are_typed_and_the_connection_stays(
    engine: ScriptedEngine, dial: Dial, frame: str, code: str
) -> None:
    engine.answers = [WHOLE]
    async with dial(v2=True) as socket:
        await assigned(socket)
        await socket.send(frame)
        refused = await answer(socket)
        assert (refused["type"], refused["code"]) == ("ERROR", code)
        await socket.send(say("hi"))
        assert (await answer(socket))["event"] == "control"


async def test_a_failed_turn_is_one_error_with_its_request(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [refusal(500, "internal")]
    async with dial(v2=True) as socket:
        await assigned(socket)
        await socket.send(say("hi", "r-9"))
        failed = await answer(socket)
        assert (failed["type"], failed["code"], failed["requestId"]) == (
            "ERROR",
            "legacy_unavailable",
            "r-9",
        )


async def test_a_client_that_leaves_before_its_turn_fails_leaves_no_crash(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [ScriptedAnswer(wait_s=0.1, status=500)]
    crashes = metrics.TASK_CRASHES.labels(task="turn")
    before = crashes._value.get()
    async with dial(v2=True) as socket:
        await assigned(socket)
        await socket.send(say("hi"))
        await asyncio.sleep(0.05)
        socket.transport.abort()
    await asyncio.sleep(0.15)
    assert crashes._value.get() == before


async def test_a_connection_has_only_so_many_turns_at_once(
    engine: ScriptedEngine, dial: Dial
) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    async with dial(v2=True) as socket:
        await assigned(socket)
        for number in range(3):
            await socket.send(say("hi", f"r-{number}"))
        got = [await answer(socket) for _ in range(3)]
        assert [
            (frame["code"], frame["requestId"]) for frame in got if frame["type"] == "ERROR"
        ] == [("too_many", "r-2")]


async def test_uploads_and_spoken_turns_count_too(engine: ScriptedEngine, dial: Dial) -> None:
    engine.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), HANG])]
    async with dial() as socket:
        await assigned(socket)
        told = []
        for _ in range(3):
            await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk","text":"hi"}')
            await socket.send('{"action":"upload_complete"}')
            assert await answer(socket) == "File chunk received"
            told.append(await answer(socket))
    assert [each["status"] for each in told] == ["queued", "queued", "error"]
    assert told[-1]["error"] == "too_many: 2 turns at once is the limit of a connection"
    assert len(engine.requests) == 2


async def test_an_upload_that_stands_still_is_given_up_and_told(
    engine: ScriptedEngine, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_session, "IDLE_TIMEOUT_S", 0.1)
    engine.answers = [WHOLE]
    async with dial() as socket:
        await assigned(socket)
        await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk","text":"half"}')
        assert await answer(socket) == "File chunk received"
        given_up = await answer(socket)
        assert (given_up["status"], given_up["error"].split(":")[0]) == ("error", "upload_stalled")
        await asyncio.sleep(0.15)
        await socket.send('{"type":"text","chunk_id":0,"action":"data_chunk","text":"whole"}')
        await socket.send('{"action":"upload_complete"}')
        await answer(socket)
        assert (await answer(socket))["status"] == "queued"
    assert [request.content for request in engine.requests] == ["whole"]


async def test_a_flood_of_frames_ends_the_connection(dial: Dial) -> None:
    async with dial() as socket:
        await assigned(socket)
        for _ in range(MAX_FRAMES_PER_SECOND + 1):
            await socket.send(b"")
        got = [await answer(socket) for _ in range(MAX_FRAMES_PER_SECOND)]
        assert set(got) == {"Error: No metadata received before binary data"}
        assert await closed(socket) == 1008


async def test_too_many_bad_frames_end_the_connection(dial: Dial) -> None:
    async with dial() as socket:
        await assigned(socket)
        for _ in range(MAX_BAD_FRAMES):
            await socket.send("junk")
        for _ in range(MAX_BAD_FRAMES):
            await answer(socket)
        assert await closed(socket) == 1008


@pytest.mark.parametrize(
    "text", ["x" * (limits.MAX_JSON_FRAME_BYTES + 1), "玩" * (limits.MAX_JSON_FRAME_BYTES // 3 + 1)]
)
async def test_a_text_frame_over_the_limit_is_1009(dial: Dial, text: str) -> None:
    async with dial() as socket:
        await assigned(socket)
        await socket.send(text)
        assert await closed(socket) == 1009


async def test_an_illegal_session_id_is_4004(dial: Dial) -> None:
    async with dial("?sessionId=a.b") as socket:
        assert await closed(socket) == 4004


async def test_a_client_has_only_so_many_microphones_and_gets_them_back(
    engine_url: str, no_redis_url: str
) -> None:
    """Before.

    One connection that turned its microphone on and off took every place that asr has, those of all
    clients.
    """
    heard: list[str] = []
    leave = asyncio.Event()

    async def asr(socket: ServerConnection) -> None:
        heard.append(str(await socket.recv()))
        await leave.wait()

    start = json.dumps(
        {"type": "MIC_START", "sessionId": "live-001", "format": "pcm_s16le", "sampleRate": 16_000}
    )
    async with serve_websocket(asr, "127.0.0.1", 0) as behind:
        port = behind.sockets[0].getsockname()[1]
        settings = InputSettings(
            dialog_engine_url=engine_url,
            redis_url=no_redis_url,
            asr_url=f"ws://127.0.0.1:{port}",
            max_microphones_per_client=2,
        )
        async with serving(build(settings)) as own:
            url = f"ws://127.0.0.1:{own}/ws/input?sessionId=live-001"
            async with connect(url, subprotocols=[Subprotocol(SUBPROTOCOL)], proxy=None) as client:
                await assigned(client)
                for _ in range(3):
                    await client.send(start)
                    await client.send('{"type":"MIC_STOP"}')
                try:
                    refusal = await answer(client)
                finally:
                    leave.set()
                assert (refusal["type"], refusal["code"]) == ("ERROR", "too_many_microphones")
            async with asyncio.timeout(20):
                while len(heard) < 3:
                    async with connect(
                        url, subprotocols=[Subprotocol(SUBPROTOCOL)], proxy=None
                    ) as client:
                        await client.send(start)
                        await asyncio.sleep(0.05)
