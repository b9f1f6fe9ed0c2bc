"""Bad input gets a clear error that names the field and the limit.

The service stays healthy and others notice nothing.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from e2e import timeouts
from e2e.harness.clients import TEXT, chat, get, metric, post, watching
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes

TOO_SLOW = (1013).to_bytes(2, "big") + b"too slow"


@pytest.fixture(autouse=True)
async def _still_healthy(fake_models: Stack) -> AsyncIterator[None]:
    pids = {service: fake_models.pid_of(service) for service in fake_models.ports}
    yield
    for service, pid in pids.items():
        assert (await get(fake_models.service(service) + "/readyz"))["ready"], service
        assert fake_models.pid_of(service) == pid, f"{service} was started again"


BAD: list[tuple[Any, int, str | None]] = [
    ({"sessionId": "bad", "content": "   "}, 422, "content"),
    ({"sessionId": "bad", "content": ""}, 422, "content"),
    ({"sessionId": "bad", "content": "x" * 4001}, 422, "content"),
    ({"sessionId": "bad", "content": 7}, 422, "content"),
    ({"sessionId": "bad"}, 422, "content"),
    ({"sessionId": "../etc/passwd", "content": "hi"}, 422, "sessionId"),
    ({"sessionId": "x" * 65, "content": "hi"}, 422, "sessionId"),
    ({"sessionId": "bad", "content": "hi", "turn": 0}, 422, "turn"),
    ({"sessionId": "bad", "content": "hi", "turn": 2**70}, 422, "turn"),
    ({"sessionId": "bad", "content": "hi", "type": "SING"}, 422, "type"),
    ({"sessionId": "bad", "content": "DANCE", "type": "COMMAND"}, 422, None),
    (
        {"sessionId": "bad", "content": "hi", "meta": {"requestId": "has space"}},
        422,
        "meta.requestId",
    ),
    (b"not json", 422, None),
    (b"[1,2,3]", 422, None),
    (b'{"sessionId":"bad","content":"\xff\xfe"}', 422, None),
    (b'{"sessionId":"bad","content":"\\ud800"}', 422, None),
    (b'{"sessionId":"bad","content":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 422, None),
    (b"x" * 70_000, 413, None),
]


@pytest.mark.parametrize(("body", "status", "field"), BAD, ids=range(len(BAD)))
async def test_a_wrong_body_is_refused_by_name(
    fake_models: Stack, body: Any, status: int, field: str | None
) -> None:
    answer = await post(fake_models.url, body)
    assert answer.status == status
    assert answer.body["message"]
    if field is not None:
        assert answer.body["field"] == field
    if status == 413:
        assert answer.body["limit"] == 65_536


async def test_a_body_without_a_length_is_counted_as_it_comes(fake_models: Stack) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1000

    assert (await post(fake_models.url, endless())).status == 413


async def test_a_foreign_page_is_refused(fake_models: Stack) -> None:
    refused = await chat(fake_models.url, "origin", headers={"Origin": "https://evil.example"})
    assert (refused.status, refused.body["code"]) == (403, "origin_refused")
    with pytest.raises(Exception, match="403"):
        await connect(
            f"{fake_models.ws}/ws/output/origin",
            origin=Origin("https://evil.example"),
            proxy=None,
        )
    assert (
        await chat(fake_models.url, "origin", headers={"Origin": fake_models.url})
    ).status == 200


async def test_resuming_after_the_last_event_is_a_whole_answer_and_moves_no_circuit(
    fake_models: Stack,
) -> None:
    turn = await chat(fake_models.url, "resumed", request_id="r-1")
    last = turn.frames[-1].id or ""
    body = {"sessionId": "resumed", "content": TEXT, "meta": {"requestId": "r-1"}}
    for _ in range(24):
        again = await post(fake_models.url, body, headers={"Last-Event-ID": last})
        assert (again.status, again.frames) == (200, [])
    assert (
        await post(fake_models.url, body, headers={"Last-Event-ID": turn.frames[-2].id or ""})
    ).events == ["done"]
    for junk in ("7", "x.y", "9" * 400 + ".1", "-1.0"):
        refused = await post(fake_models.url, body, headers={"Last-Event-ID": junk})
        assert (refused.status, refused.body["code"], refused.body["field"]) == (
            409,
            "unknown_event",
            "Last-Event-ID",
        )
    readiness = await get(fake_models.service("input-handler") + "/readyz")
    assert readiness["details"]["circuit"] == {"only": "closed"}
    assert (await chat(fake_models.url, "somebody-else")).events[-1] == "done"


async def test_no_number_ends_a_session(fake_models: Stack) -> None:
    assert (await chat(fake_models.url, "numbers")).turn == 1
    for far in (2**31 - 1, 1_000_000, 102):
        refused = await chat(fake_models.url, "numbers", turn=far)
        assert (refused.status, refused.body["code"], refused.body["nextTurn"]) == (
            409,
            "out_of_reach",
            2,
        )
    lost = await chat(fake_models.url, "numbers", headers={"Last-Event-ID": "999999999.0"})
    assert (lost.status, lost.body["code"]) == (409, "turn_lost")
    assert (await chat(fake_models.url, "numbers")).turn == 2
    assert (await chat(fake_models.url, "numbers", turn=9)).turn == 9
    assert (await chat(fake_models.url, "numbers")).turn == 10


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"type":"NOPE"}',
        '{"type":"PLAYED","sessionId":"frames"}',
        '{"type":"TIME","t0":"x"}',
        b"\x00\x01",
    ],
)
async def test_a_wrong_frame_from_a_viewer_is_answered_and_the_connection_stays(
    fake_models: Stack, frame: str | bytes
) -> None:
    async with watching(fake_models.ws, "frames") as viewer:
        await viewer.socket.send(frame)
        await viewer.until(lambda v: v.of("ERROR"), timeouts.STOPPED)
        assert viewer.of("ERROR")[0]["code"] == "bad_frame"
        await viewer.send(type="TIME", t0=1)
        await viewer.until(lambda v: v.of("TIME"), timeouts.STOPPED)


async def test_a_frame_over_the_limit_closes_with_1009(fake_models: Stack) -> None:
    for path, data in (
        ("/ws/input?sessionId=big", b"x" * (1024 * 1024 + 1)),
        ("/ws/input?sessionId=big", "x" * 70_000),
    ):
        async with connect(fake_models.ws + path, proxy=None, compression=None) as speaker:
            await speaker.recv()
            with pytest.raises(ConnectionClosed) as closed:
                await speaker.send(data)
                while True:
                    await asyncio.wait_for(speaker.recv(), timeouts.STOPPED)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


async def test_invalid_utf8_in_a_text_frame_closes_with_1007(fake_models: Stack) -> None:
    async with connect(
        f"{fake_models.ws}/ws/input?sessionId=utf8", proxy=None, compression=None
    ) as speaker:
        await speaker.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await speaker.send(b"\xff\xfe\xfd", text=True)
            while True:
                await asyncio.wait_for(speaker.recv(), timeouts.STOPPED)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007


async def test_ten_thousand_chunks_of_an_upload_are_too_many(fake_models: Stack) -> None:
    async with connect(
        f"{fake_models.ws}/ws/input?sessionId=flood", proxy=None, compression=None
    ) as speaker:
        await speaker.recv()
        with pytest.raises(ConnectionClosed) as closed:
            for number in range(10_000):
                await speaker.send(
                    json.dumps(
                        {"type": "text", "action": "data_chunk", "chunk_id": number, "text": "x"}
                    )
                )
            while True:
                await asyncio.wait_for(speaker.recv(), timeouts.STOPPED)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_a_message_in_hundreds_of_frames_is_one_message_and_one_in_thousands_is_refused(
    fake_models: Stack,
) -> None:
    async with connect(
        f"{fake_models.ws}/ws/input?sessionId=pieces", proxy=None, compression=None
    ) as speaker:
        await speaker.recv()
        await speaker.send("x" for _ in range(400))
        assert await asyncio.wait_for(speaker.recv(), timeouts.TURN) == "Invalid JSON format"
        whole = json.dumps({"type": "text", "action": "data_chunk", "chunk_id": 0, "text": "hello"})
        await speaker.send(char for char in whole)
        assert await asyncio.wait_for(speaker.recv(), timeouts.TURN) == "File chunk received"
    async with connect(
        f"{fake_models.ws}/ws/input?sessionId=pieces", proxy=None, compression=None
    ) as speaker:
        await speaker.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await speaker.send("" for _ in range(10_000))
            await asyncio.wait_for(speaker.recv(), timeouts.TURN)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_a_microphone_that_nobody_listens_to_is_refused(fake_models: Stack) -> None:
    protocols = [Subprotocol("vtuber.v2")]
    async with connect(
        f"{fake_models.ws}/ws/input?sessionId=mic", subprotocols=protocols, proxy=None
    ) as speaker:
        await speaker.recv()
        await speaker.send(
            json.dumps(
                {"type": "MIC_START", "sessionId": "mic", "format": "opus", "sampleRate": 48000}
            )
        )
        assert json.loads(await speaker.recv())["code"] == "asr_unavailable"


def never_reading(url: str, session: str) -> socket.socket:
    """A viewer in JSON whose machine takes a few kB and then nothing more."""
    parts = urlsplit(url)
    stalled = socket.socket()
    # Before the connection is made, so that the other side's kernel does not offer megabytes of its
    # own for it.
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    stalled.connect((parts.hostname, parts.port))
    handshake = (
        f"GET /ws/output/{session} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: vtuber.v2\r\n\r\n"
    )
    stalled.sendall(handshake.encode())
    assert b"101" in stalled.recv(200)
    return stalled


def rest_of(stalled: socket.socket) -> int:
    """Bytes that its kernel and ours still held, up to the end of the connection or close code 1013; raises TimeoutError without either."""
    stalled.settimeout(timeouts.STOPPED)
    size, last = 0, b""
    with suppress(ConnectionError):
        while not last.endswith(TOO_SLOW) and (data := stalled.recv(65_536)):
            size += len(data)
            last = (last + data)[-len(TOO_SLOW) :]
    return size


async def test_a_client_that_never_reads_is_given_up_and_slows_nobody(fake_models: Stack) -> None:
    output = fake_models.service("output-handler")

    async def given_up() -> float:
        return await metric(output, "dialog_viewers_closed_total", reason="too_slow") or 0.0

    async def in_json() -> float:
        return await metric(output, "dialog_viewers", dialect="vtuber.v2") or 0.0

    before = await given_up()
    # One behind the gateway, with two more kernels that hold what it does not take; and one
    # without.
    with never_reading(fake_models.url, "stalled"), never_reading(output, "stalled") as stalled:
        async with watching(fake_models.ws, "stalled") as healthy:
            opened = await in_json()
            async with asyncio.timeout(timeouts.VIEWER_GIVEN_UP):
                while await given_up() < before + 2:
                    # Each cuts the one before it short, which fills the buffers faster than one
                    # long speech.
                    await chat(fake_models.url, "stalled")
                while await in_json() == opened:
                    await asyncio.sleep(0.05)
            assert await asyncio.to_thread(rest_of, stalled) > 4096
            began = time.monotonic()
            last = await chat(fake_models.url, "stalled")
            await healthy.until(
                lambda v: [frame for frame in v.of("CONTROL", "END") if frame["turn"] == last.turn]
            )
            assert time.monotonic() - began < timeouts.TURN / 2
            assert not healthy.of("ERROR")
            for turn in range(1, last.turn + 1):
                seqs = [chunk.seq for chunk in healthy.chunks if chunk.turn == turn]
                assert seqs == list(range(len(seqs)))
            assert healthy.seconds_of(last.turn) > 1


async def test_half_open_and_silent_sockets_do_not_hold_up_others(fake_models: Stack) -> None:
    parts = urlsplit(fake_models.url)
    silent = [socket.create_connection((parts.hostname, parts.port)) for _ in range(50)]
    for each in silent[:25]:
        each.sendall(b"POST /chat/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert (await chat(fake_models.url, "half-open")).events[-1] == "done"
    for each in silent:
        each.close()


async def test_an_unknown_session_has_an_empty_history(fake_models: Stack) -> None:
    assert (await get(f"{fake_models.url}/sessions/nobody-was-here/turns"))["turns"] == []
    assert (await get(f"{fake_models.url}/sessions/bad%20name/turns"))["code"] == "invalid"
    async with connect(f"{fake_models.ws}/ws/output/bad%20name", proxy=None) as viewer:
        with pytest.raises(ConnectionClosed):
            await viewer.recv()
        assert viewer.close_code == 4004
