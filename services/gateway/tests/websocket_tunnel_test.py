"""The tunnel by itself: raw bytes on both sides, and what each side gets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists
from starlette.types import Receive, Scope, Send
from websockets.frames import Close, Frame, Opcode

from dialog_contracts import limits
from dialog_telemetry import metrics
from gateway.websocket_tunnel import (
    EXTENSION,
    MAX_HEAD_BYTES,
    ClientProtocol,
    HandshakeRejected,
    UpstreamProtocol,
)
from service_runtime.http import bounds
from service_runtime.testing.local_server import serving

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)
WAIT_S = 20


def frame(payload: bytes, opcode: Opcode = Opcode.BINARY, *, mask: bool = True) -> bytes:
    return Frame(opcode, payload).serialize(mask=mask)


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(Close(code, reason).serialize(), Opcode.CLOSE, mask=False)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


class Tunnel:
    """A client's connection and a service's one, which `join` joins."""

    def __init__(self, read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        self.client, self.to_service = read, write
        self.edge: ClientProtocol
        self.upstream: UpstreamProtocol
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )
        self.refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """What `join` returned."""

    async def join(self, first: bytes = ACCEPTED) -> None:
        """The service answers the handshake; the head is read by the client."""
        self.go.set()
        self.service, self.to_client = await asyncio.wait_for(self.accepted, WAIT_S)
        self.to_client.write(first)
        async with asyncio.timeout(WAIT_S):
            assert await self.client.readuntil(b"\r\n\r\n") == ACCEPTED

    async def read_exactly(self, reader: asyncio.StreamReader, size: int) -> bytes:
        return await asyncio.wait_for(reader.readexactly(size), WAIT_S)

    async def read_all(self, reader: asyncio.StreamReader) -> bytes:
        """Everything until the end, in order or by a reset."""
        got = b""
        async with asyncio.timeout(WAIT_S):
            try:
                while data := await reader.read(65_536):
                    got += data
            except ConnectionResetError:
                pass
        return got

    async def returned(self) -> bool:
        return await asyncio.wait_for(asyncio.shield(self.refused), WAIT_S)


@asynccontextmanager
async def tunnel() -> AsyncIterator[Tunnel]:
    """A client whose handshake waits for `go`, and a service behind."""
    made: Tunnel

    async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.accepted.set_result((reader, writer))

    service = await asyncio.start_server(accepts, "127.0.0.1", 0)
    behind = service.sockets[0].getsockname()[1]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        made.edge = scope["extensions"][EXTENSION]
        made.asked.set()
        await made.go.wait()
        loop = asyncio.get_running_loop()
        _, made.upstream = await loop.create_connection(UpstreamProtocol, "127.0.0.1", behind)
        await made.upstream.head
        made.refused.set_result(await made.edge.join(made.upstream))

    async with serving(app, ws=ClientProtocol) as port:
        made = Tunnel(*await asyncio.open_connection("127.0.0.1", port))
        made.to_service.write(HANDSHAKE)
        try:
            await asyncio.wait_for(made.asked.wait(), WAIT_S)
            yield made
        finally:
            made.go.set()
            made.to_service.close()
            if made.accepted.done():
                made.accepted.result()[1].close()
            service.close()


class Received:
    """Stands for the client's side: everything that it was given."""

    def __init__(self) -> None:
        self.data, self.lost = b"", 0

    def deliver(self, head: bytes, frames: bytes) -> None:
        assert not self.lost
        self.data += head + frames

    def service_lost(self) -> None:
        self.lost += 1


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in zip(places, places[1:], strict=False)]


@given(frames=binary(max_size=200), cuts=lists(integers(0, 500), max_size=8), late=integers(0, 8))
async def test_however_the_services_bytes_are_cut_the_client_gets_them_once_and_in_order(
    frames: bytes, cuts: list[int], late: int
) -> None:
    service, client, joined = UpstreamProtocol(), Received(), False
    for piece in pieces(ACCEPTED + frames, cuts):
        service.data_received(piece)
        late -= int(service.head.done())
        if late < 0 and not joined:
            service.join(cast(ClientProtocol, client))
            joined = True
    service.connection_lost(None)
    if not joined:
        service.join(cast(ClientProtocol, client))
    assert client.data == ACCEPTED + frames
    assert client.lost == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"HTTP/1.1 1011 x\r\n\r\n", "HTTP/1.1 1011 x"),
        (b"\r\n\r\n", ""),
        (b"SSH-2.0-" + b"x" * MAX_HEAD_BYTES, "SSH-2.0-" + "x" * 92),
        (ACCEPTED[:-2] + b"x: " + b"y" * MAX_HEAD_BYTES, "HTTP/1.1 101 Switching Protocols"),
    ],
)
async def test_an_answer_that_accepts_no_handshake_is_rejected_with_its_first_line(
    answer: bytes, why: str
) -> None:
    service = UpstreamProtocol()
    for at in range(0, len(answer), 1_000):
        service.data_received(answer[at : at + 1_000])
    with pytest.raises(HandshakeRejected) as rejected:
        await service.head
    assert str(rejected.value) == why


@pytest.mark.parametrize("said", [b"", ACCEPTED[:-1]])
async def test_a_service_that_hangs_up_in_its_answer_rejects(said: bytes) -> None:
    service = UpstreamProtocol()
    if said:
        service.data_received(said)
    service.connection_lost(None)
    with pytest.raises(HandshakeRejected, match="it hung up"):
        await service.head


async def test_a_service_that_is_lost_between_handshake_and_join_is_said_to_the_client() -> None:
    async with tunnel() as it:
        it.go.set()
        reader, writer = await asyncio.wait_for(it.accepted, WAIT_S)
        writer.write(ACCEPTED + frame(b"bye", mask=False))
        writer.close()
        assert await it.read_all(it.client) == (
            ACCEPTED + frame(b"bye", mask=False) + close_frame(1011)
        )
        assert not await it.returned()


async def test_frames_that_come_with_the_answer_follow_it() -> None:
    async with tunnel() as it:
        early = frame(b"hello", mask=False)
        await it.join(ACCEPTED + early)
        assert await it.read_exactly(it.client, len(early)) == early


async def test_frames_of_an_impatient_client_wait_for_the_answer_and_keep_their_order() -> None:
    async with tunnel() as it:
        sent = b""
        for number in range(5):
            sent += frame(b"%d" % number)
        it.to_service.write(sent[:9])
        await until(lambda: len(it.edge._early) == 9)
        it.to_service.write(sent[9:-3])
        await until(lambda: len(it.edge._early) == len(sent) - 3)
        await it.join()
        it.to_service.write(sent[-3:])
        assert await it.read_exactly(it.service, len(sent)) == sent


async def test_a_flood_before_the_answer_ends_the_connection_and_the_one_behind() -> None:
    async with tunnel() as it:
        it.to_service.write(b"x" * (limits.MAX_JSON_FRAME_BYTES + 1))
        assert await it.read_all(it.client) == b""
        it.go.set()
        reader, writer = await asyncio.wait_for(it.accepted, WAIT_S)
        writer.write(ACCEPTED)
        assert await it.read_all(reader) == b""
        assert not await it.returned()


async def test_a_frame_may_be_as_long_as_the_limit_and_no_longer() -> None:
    async with tunnel() as it:
        await it.join()
        longest = frame(b"x" * limits.MAX_BINARY_FRAME_BYTES)
        it.to_service.write(longest)
        assert await it.read_exactly(it.service, len(longest)) == longest
        it.to_service.write(frame(b"x" * (limits.MAX_BINARY_FRAME_BYTES + 1))[:100])
        reason = f"a frame has at most {limits.MAX_BINARY_FRAME_BYTES} bytes"
        said = close_frame(1009, reason)
        assert await it.read_exactly(it.client, len(said)) == said
        assert await it.read_all(it.service) == b"", "nothing of it reaches the service"
        it.to_service.close()
        assert await it.returned(), "it was for a violation"


async def test_a_flood_of_frames_is_1008_and_counted() -> None:
    rejected = metrics.REQUESTS_REJECTED.labels(code="too_many_frames")
    before = rejected._value.get()
    async with tunnel() as it:
        await it.join()
        it.to_service.write(frame(b"") * 20_000)
        said = close_frame(1008, f"more than {bounds.FRAMES_PER_SECOND} frames a second")
        assert await it.read_exactly(it.client, len(said)) == said
        it.to_service.close()
        assert await it.returned()
    assert rejected._value.get() == before + 1


async def test_no_close_frame_is_written_into_a_frame_of_the_service() -> None:
    async with tunnel() as it:
        await it.join()
        half = frame(b"x" * 500, mask=False)[:100]
        it.to_client.write(half)
        it.to_client.close()
        assert await it.read_all(it.client) == half
        assert not await it.returned()


async def test_the_services_own_close_frame_is_the_only_one() -> None:
    async with tunnel() as it:
        await it.join()
        it.to_client.write(close_frame(4001, "enough"))
        it.to_client.close()
        assert await it.read_all(it.client) == close_frame(4001, "enough")
        assert not await it.returned()


async def test_a_gateway_that_ends_says_so_to_both_sides() -> None:
    async with tunnel() as it:
        await it.join()
        it.edge.shutdown()
        assert await it.read_all(it.client) == close_frame(1012)
        assert await it.read_all(it.service) == b""
        assert not await it.returned()


async def test_a_client_that_vanishes_ends_the_connection_behind() -> None:
    async with tunnel() as it:
        await it.join()
        last = frame(b"last words")
        it.to_service.write(last)
        it.to_service.close()
        assert await it.read_all(it.service) == last
        assert not await it.returned()


async def test_a_service_that_does_not_read_holds_up_its_client_and_not_the_memory() -> None:
    async with tunnel() as it:
        await it.join()
        megabyte = frame(b"x" * (limits.MAX_BINARY_FRAME_BYTES - 1))
        sending = asyncio.create_task(send(it.to_service, megabyte, 60))
        await until(lambda: not it.edge.transport.is_reading())
        assert it.upstream.transport.get_write_buffer_size() < 2 * 2**20
        assert not sending.done()
        for _ in range(60):
            assert await it.read_exactly(it.service, len(megabyte)) == megabyte
        await asyncio.wait_for(sending, WAIT_S)


async def send(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(data)
        await writer.drain()


async def test_a_refused_client_that_reads_nothing_is_disconnected(
    later: Callable[[float], None],
) -> None:
    async with tunnel() as it:
        await it.join()
        flood = asyncio.create_task(send(it.to_client, frame(b"x" * 60_000, mask=False), 2_000))
        await until(lambda: not it.upstream.transport.is_reading())
        it.to_service.write(frame(b"x" * (limits.MAX_BINARY_FRAME_BYTES + 1))[:100])
        await until(lambda: it.edge._refused)
        later(bounds.DRAIN_S)
        await until(it.edge.transport.is_closing)
        assert not it.refused.done(), "what was written to it may still be read"
        later(bounds.CLOSE_TIMEOUT_S)
        assert await it.returned()
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
