"""A real server on a socket; what comes is written byte by byte."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from service_runtime.http import bounds
from service_runtime.testing.local_server import serving

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body was."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(app, each_address=True) as made:
        yield made


async def answered(port: int, *pieces: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def well(port: int) -> bool:
    """Whether somebody who does nothing wrong is answered."""
    return (await answered(port, GET + b"connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def code(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"GET /" + b"x" * bounds.URL_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n",
            (414, "url_too_long"),
        ),
        (GET + b"cookie: " + b"x" * bounds.LINE_BYTES + b"\r\n\r\n", (431, "head_too_large")),
        (GET + b"x: y\r\n" * (bounds.HEADERS + 1) + b"\r\n", (431, "head_too_large")),
        (
            GET
            + b"".join(b"x%d: " % number + b"y" * 7_000 + b"\r\n" for number in range(5))
            + b"\r\n",
            (431, "head_too_large"),
        ),
        (b"not http at all\r\n\r\n", (400, "bad_request")),
    ],
)
async def test_heads_that_are_too_large_are_refused_by_name(
    port: int, head: bytes, expected: tuple[int, str]
) -> None:
    answer = await answered(port, head)
    assert (status(answer), code(answer)) == expected
    assert b"connection: close" in answer
    assert await well(port)


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        GET + b"cookie: ",
        GET + b"a: b\r\n" * 50,
        POST + b"transfer-encoding: chunked\r\n\r\n1;",
    ],
)
async def test_what_never_ends_is_ended(port: int, start: bytes) -> None:
    """Before: 161 MB in a second, kept until the end of the line that did not come."""
    answer = await answered(port, start, *[b"x" * 60_000] * 60)
    assert status(answer) in (413, 414, 431)
    assert await well(port)


async def test_trailers_and_sizes_of_chunks_are_bounded(port: int) -> None:
    chunked = POST + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (await answered(port, chunked, b"1\r\nx\r\n" * 5_000, b"0\r\nsum: 1\r\n\r\n")).endswith(
        b"5000\r\n0\r\n\r\n"
    )
    assert (
        status(
            await answered(port, chunked, b"0\r\n", *[b"trailer: " + b"x" * 6_000 + b"\r\n"] * 100)
        )
        == 413
    )


async def test_a_handshake_of_any_head_is_answered(port: int) -> None:
    """Before: one with a line over 8 KB never was."""
    upgrade = b"upgrade: websocket\r\nconnection: upgrade\r\n"
    for more in (
        b"cookie: " + b"x" * 9_000 + b"\r\n",
        b"",
        b"sec-websocket-key: nonsense\r\n",
        b"sec-websocket-version: 7\r\n",
    ):
        assert 400 <= status(await answered(port, GET + upgrade + more + b"\r\n")) <= 431
    assert 400 <= status(await answered(port, POST + upgrade + b"content-length: 0\r\n\r\n")) <= 431
    assert await well(port)


async def test_heads_and_bodies_that_do_not_come_are_408(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", 0.1)
    assert await answered(port) == b""
    for half in (
        GET,
        POST + b"content-length: 5\r\n\r\nhel",
        POST + b"transfer-encoding: chunked\r\n\r\n5\r\nhel",
    ):
        answer = await answered(port, half)
        assert (status(answer), code(answer)) == (408, "request_timeout")
    # The second request of a connection has as much time as the first, and one that is answered may
    # rest.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    await reader.readuntil(b"0\r\n0\r\n\r\n")
    await asyncio.sleep(0.3)
    writer.write(GET + b"\r\n")
    await reader.readuntil(b"0\r\n0\r\n\r\n")
    writer.write(GET)
    assert status(await reader.read()) == 408
    writer.close()


def ended(connection: socket.socket) -> bool:
    with suppress(BlockingIOError):
        return connection.recv(100) == b""
    return False


async def test_idle_connections_replace_each_other_and_nobody_else(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_CONNECTING_PER_ADDRESS", 20)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for each in slow:
        each.sendall(POST + b"content-length: 9\r\n\r\nx")
    for _ in range(5):
        assert await well(port)
    for each in silent:
        each.setblocking(False)
    async with asyncio.timeout(20):
        while sum(ended(each) for each in silent) < 80:
            await asyncio.sleep(0.01)
    for each in [*silent, *slow]:
        each.close()


async def test_so_many_requests_may_wait_on_one_connection(port: int) -> None:
    few = await answered(port, (GET + b"\r\n") * 10 + GET + b"connection: close\r\n\r\n")
    assert few.count(b"HTTP/1.1 200") == 11
    many = await answered(port, (GET + b"\r\n") * 200)
    assert many.count(b"HTTP/1.1 200") <= bounds.PIPELINED + 2
    assert await well(port)


async def test_an_answer_before_the_end_of_the_body_ends_the_connection() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send(
                {
                    "type": "http.response.start",
                    "status": 413,
                    "headers": [(b"content-length", b"2")],
                }
            )
            await send({"type": "http.response.body", "body": b"no"})

    async with serving(early) as port:
        answer = await answered(
            port, POST + b"content-length: 99999999\r\n\r\n", *[b"x" * 50_000] * 20
        )
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.endswith(b"no")


@pytest.mark.parametrize(
    "more",
    [
        b"content-length: 5\r\n\r\nhello",
        b"content-length: 5\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n",
    ],
)
@pytest.mark.parametrize("method", [GET, POST])
async def test_a_handshake_with_a_body_is_refused(port: int, method: bytes, more: bytes) -> None:
    """Before: it was never answered, and its connection stayed as long as its client liked."""
    answer = await answered(port, method + b"upgrade: websocket\r\nconnection: upgrade\r\n" + more)
    assert (status(answer), code(answer)) == (400, "bad_request")


async def test_a_handshake_waits_for_the_answers_before_it() -> None:
    """Before.

    Both answered into one connection, which was then counted as one that waits, for ever.
    """

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            continue

    async with serving(never) as port:
        upgrade = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        key = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        answer = await answered(port, GET + b"\r\n" + GET + upgrade + key)
        assert (status(answer), code(answer)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"content-length: 5\r\n\r\nhello", b"5"),
        (b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n", b"8"),
        (b"content-length: 0\r\n\r\n", b"0"),
        (b"\r\n", b"0"),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 3])
async def test_an_offer_of_another_protocol_changes_nothing(
    port: int, body: bytes, size: bytes, cut: int
) -> None:
    """Java's client and `curl --http2` offer h2c. Before.

    Their bodies were lost (422), and so was their connection.
    """
    offer = (
        POST
        + b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk\r\n"
        + body
    )
    sent = offer + offer + GET + b"connection: close\r\n\r\n"
    at = len(offer) - cut
    answer = await answered(port, sent[:at], sent[at:])
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"\r\n" + size + b"\r\n0\r\n\r\n") >= 2 or size == b"0"


async def test_a_body_after_an_offer_is_bounded_like_any_other(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", 0.1)
    offer = POST + b"upgrade: h2c\r\nconnection: upgrade\r\n"
    assert status(await answered(port, offer + b"content-length: 5\r\n\r\nhel")) == 408
    monkeypatch.undo()
    chunked = offer + b"transfer-encoding: chunked\r\n\r\n0\r\n"
    assert (
        status(await answered(port, chunked, *[b"trailer: " + b"x" * 6_000 + b"\r\n"] * 100)) == 413
    )


async def test_who_leaves_with_requests_in_line_ends_the_one_that_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before: only the last of them heard of it.

    The one that was being answered wrote on, and printed two tracebacks.
    """
    ended = asyncio.Event()

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            continue
        await send({"type": "http.response.body", "body": b"late"})
        ended.set()

    async with serving(long) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((GET + b"\r\n") * 3)
        await reader.readuntil(b"200 OK")
        writer.transport.abort()
        async with asyncio.timeout(20):
            await ended.wait()
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_refusal_is_never_written_into_another_answer() -> None:
    """Before.

    Where one more request waited, the answer that was under way got a second head in its middle.
    """

    async def begun(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                continue

    async with serving(begun) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"begun")
        writer.write(GET + b"\r\nnot http at all\r\n\r\n")
        async with asyncio.timeout(20):
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()
