import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from gateway.app import build
from gateway.settings import GatewaySettings
from gateway.websocket_tunnel import ClientProtocol
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

Dial = Callable[..., connect]


@dataclass
class Service:
    """Says everything back; `close 4321 why` closes.

    Remembers where it was called and how it ended.
    """

    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    ended: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        self.paths.append(f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}")
        socket = WebSocket(scope, receive, send)
        self.headers.append(dict(socket.headers))
        offered = scope["subprotocols"]
        await socket.accept(subprotocol=offered[-1] if offered else None)
        while (message := await socket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                await socket.send_bytes(message["bytes"])
            elif text.startswith("close "):
                _, code, reason = text.split()
                await socket.close(int(code), reason)
                return
            else:
                await socket.send_text(text)
        self.ended.put_nowait(message["code"])


@pytest.fixture
async def service() -> Service:
    return Service()


@asynccontextmanager
async def gateway(behind: int | str, **settings: Any) -> AsyncIterator[Dial]:
    url = f"http://127.0.0.1:{behind}" if isinstance(behind, int) else behind
    app = build(GatewaySettings(input_handler_url=url, output_handler_url=url, **settings))
    async with serving(app, ws_max_bytes=2**20, ws=ClientProtocol) as port:

        def dial(path: str = "/ws/output/live-001", **options: Any) -> connect:
            return connect(f"ws://127.0.0.1:{port}{path}", compression=None, proxy=None, **options)

        yield dial


@pytest.fixture
async def dial(service: Service) -> AsyncIterator[Dial]:
    async with (
        serving(service, ws_max_bytes=2**20) as behind,
        gateway(behind, allowed_origins="https://vtuber.example", sockets_an_address=2) as made,
    ):
        yield made


async def close_of(client: ClientConnection) -> tuple[int | None, str | None]:
    await asyncio.wait_for(client.wait_closed(), 2)
    return client.close_code, client.close_reason


async def test_the_service_chooses_the_dialect(dial: Dial) -> None:
    async with dial(
        subprotocols=[Subprotocol("vtuber.v2"), Subprotocol("vtuber.v2.bin")]
    ) as client:
        assert client.subprotocol == "vtuber.v2.bin"
    async with dial() as client:
        assert client.subprotocol is None


async def test_text_and_bytes_pass_both_ways_in_order(dial: Dial) -> None:
    frames: list[str | bytes] = [
        "今晚玩什么？",
        b"\x00\xff",
        "",
        b"",
        "x" * 100_000,
        b"y" * 1_000_000,
    ]
    async with dial() as client:
        for frame in frames:
            await client.send(frame)
        assert [await asyncio.wait_for(client.recv(), 2) for _ in frames] == frames


async def test_path_query_and_trace_pass_and_cookies_do_not(dial: Dial, service: Service) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    sent = {"traceparent": parent, "cookie": "a=b", "authorization": "Bearer x"}
    async with dial("/ws/input?sessionId=live-001&x=%20", additional_headers=sent) as client:
        await client.send("hi")
        await client.recv()
    async with dial("/ws/output/a%20b"):
        pass
    assert service.paths == ["/ws/input?sessionId=live-001&x=%20", "/ws/output/a%20b?"]
    assert service.headers[0]["traceparent"] == parent
    assert not {"cookie", "authorization"} & set(service.headers[0])


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "done"), (1008, "policy"), (1013, "slow"), (4004, "unknown")]
)
async def test_the_services_close_code_reaches_the_client(
    dial: Dial, code: int, reason: str
) -> None:
    async with dial() as client:
        await client.send(f"close {code} {reason}")
        assert await close_of(client) == (code, reason)


@pytest.mark.parametrize("code", [1000, 1001, 4001])
async def test_the_clients_close_code_reaches_the_service(
    dial: Dial, service: Service, code: int
) -> None:
    async with dial() as client:
        await client.send("hi")
        await client.recv()
        await client.close(code)
    assert await asyncio.wait_for(service.ended.get(), 2) == code


async def test_a_client_that_vanishes_ends_the_socket_behind(dial: Dial, service: Service) -> None:
    async with dial() as client:
        await client.send("hi")
        await client.recv()
        client.transport.abort()
    await asyncio.wait_for(service.ended.get(), 2)


@pytest.mark.parametrize("offered", [None, [Subprotocol("vtuber.v2")]])
async def test_a_service_that_is_away_is_1013(offered: list[Subprotocol] | None) -> None:
    async with gateway(ports.free()) as dial, dial(subprotocols=offered) as client:
        assert client.subprotocol == (offered[0] if offered else None)
        assert await close_of(client) == (1013, "the service behind does not answer")


async def test_a_service_that_goes_away_ends_the_clients_socket(service: Service) -> None:
    async with serving(service) as behind, gateway(behind) as dial, dial() as client:
        await client.send("hi")
        await client.recv()
        await client.send("close 1012 restart")
        assert (await close_of(client))[0] == 1012


async def test_a_foreign_page_is_denied_before_the_handshake(dial: Dial, service: Service) -> None:
    with pytest.raises(InvalidStatus) as denied:
        await dial(origin=Origin("https://evil.example"))
    assert denied.value.response.status_code == 403
    assert b"origin_refused" in denied.value.response.body
    assert service.paths == []
    async with dial(origin=Origin("https://vtuber.example")) as client:
        await client.send("hi")
        assert await client.recv() == "hi"


async def test_an_address_has_only_so_many_sockets_and_gets_them_back(dial: Dial) -> None:
    async with dial(), dial():
        with pytest.raises(InvalidStatus) as denied:
            await dial()
        assert denied.value.response.status_code == 429
    for _ in range(20):
        try:
            async with dial() as client:
                await client.send("hi")
                assert await client.recv() == "hi"
                return
        except (InvalidStatus, ConnectionClosed):
            await asyncio.sleep(0.02)
    pytest.fail("closed sockets still count")


async def test_a_frame_over_the_limit_is_1009(dial: Dial) -> None:
    async with dial() as client:
        await client.send(b"x" * (2**20 + 1))
        assert (await close_of(client))[0] == 1009


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """A handshake by hand."""
    protocol = ServerProtocol()
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    (asked,) = protocol.events_received()
    assert isinstance(asked, Request)
    protocol.send_response(protocol.accept(asked))
    writer.writelines(protocol.data_to_send())
    return asked


async def test_a_service_below_a_folder_and_one_with_tls_are_reached() -> None:
    asked: list[str] = []

    async def notes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await accept(reader, writer)).path)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(notes, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, gateway(f"http://127.0.0.1:{port}/vtuber/") as dial, dial():
        assert [path for path in asked if "/ws/" in path] == ["/vtuber/ws/output/live-001"]

    greeted: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(3))
        writer.close()

    server = await asyncio.start_server(listens, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, gateway(f"https://127.0.0.1:{port}") as dial, dial() as client:
        assert (await close_of(client))[0] == 1013
    # A TLS record that holds a handshake: nothing was said in the clear.
    assert set(greeted) == {b"\x16\x03\x01"}


async def test_a_service_that_dies_without_a_word_is_1011() -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        writer.close()

    server = await asyncio.start_server(dies, "127.0.0.1", 0)
    async with server, gateway(server.sockets[0].getsockname()[1]) as dial, dial() as client:
        assert (await close_of(client))[0] == 1011


async def test_a_service_that_refuses_is_1013() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuses, "127.0.0.1", 0)
    async with server, gateway(server.sockets[0].getsockname()[1]) as dial, dial() as client:
        assert await close_of(client) == (1013, "the service behind does not answer")


async def test_a_gateway_that_ends_says_come_back(service: Service) -> None:
    async with serving(service, ws_max_bytes=2**20) as behind:
        async with gateway(behind) as dial:
            client = await dial()
            await client.send("hi")
            assert await client.recv() == "hi"
        assert (await close_of(client))[0] == 1012
        await asyncio.wait_for(service.ended.get(), 2)


async def test_a_client_that_does_not_read_holds_up_the_service_and_not_the_memory() -> None:
    written = 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await accept(reader, writer)
        frame = Frame(Opcode.BINARY, bytes(60_000)).serialize(mask=False)
        while not writer.is_closing():
            writer.write(frame)
            await writer.drain()
            written += len(frame)

    server = await asyncio.start_server(floods, "127.0.0.1", 0)
    async with (
        server,
        gateway(server.sockets[0].getsockname()[1]) as dial,
        dial(max_queue=1) as client,
    ):
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.2)
        assert written < 40_000_000, "what the sockets' buffers hold"
        for _ in range(2_000):
            assert len(await client.recv()) == 60_000
        assert written > before, "it goes on when the client reads on"
        client.transport.abort()


async def test_a_handshake_that_is_none_is_no_error_of_ours(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Before: each was answered, and then printed a traceback."""
    async with serving(service) as behind, gateway(behind) as dial:
        port = int(dial().uri.rpartition(":")[2].partition("/")[0])
        for more in (b"", b"sec-websocket-key: x\r\n", b"sec-websocket-version: 7\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"GET /ws/input HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            writer.write(head + more + b"\r\n")
            async with asyncio.timeout(10):
                answer = await reader.read()
            assert 400 <= int(answer.split(b" ")[1]) <= 431
            writer.close()
    assert not [record for record in caplog.records if record.exc_info]
