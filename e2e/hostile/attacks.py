"""What strangers do. Each attack takes a `Target` and a size, and gives what it was answered, counted by word.

They come from an address of their own (127.0.0.2, which Linux has without asking), so that limits of one address are theirs.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode

FROM: Final = "127.0.0.2"
PIECE: Final = b"x" * 60_000
WAITS_S: Final = 8.0
"""For an answer to what was sent."""

HANDSHAKE: Final = (
    "upgrade: websocket\r\n"
    "connection: upgrade\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "sec-websocket-version: 13\r\n"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A door: host and port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Target":
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 80)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            self.host, self.port, local_addr=(FROM, 0), limit=2**16
        )

    def head(self, first: str, *lines: str) -> bytes:
        return "\r\n".join(
            [f"{first} HTTP/1.1", f"host: {self.host}:{self.port}", *lines, "", ""]
        ).encode()

    async def socket(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A WebSocket; raises OSError where it is refused."""
        reader, writer = await self.connect()
        writer.write(self.head(f"GET {path}", *HANDSHAKE.strip().split("\r\n")))
        async with asyncio.timeout(WAITS_S):
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head[:20]:
            writer.close()
            raise ConnectionRefusedError(head[:40].decode("latin-1"))
        return reader, writer


Attack = Callable[[Target, int], Awaitable[Counter[str]]]


async def status_of(reader: asyncio.StreamReader) -> str:
    """The status that comes back.

    `none` when nothing does, `closed` when the connection ends without one.
    """
    try:
        async with asyncio.timeout(WAITS_S):
            line = await reader.readline()
    except TimeoutError:
        return "none"
    except OSError:
        return "closed"
    return line.split(b" ")[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"


async def close_code(reader: asyncio.StreamReader) -> str:
    """The code of the close frame that ends what comes."""
    rest = b""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(WAITS_S):
            while data := await reader.read(2**16):
                rest = (rest + data)[-4096:]
    at = rest.rfind(b"\x88")
    return str(int.from_bytes(rest[at + 2 : at + 4], "big")) if at >= 0 else "closed"


async def _many(
    number: int, one: Callable[[int], Awaitable[str]], at_once: int = 50
) -> Counter[str]:
    places = asyncio.Semaphore(at_once)

    async def placed(which: int) -> str:
        async with places:
            try:
                return await one(which)
            except OSError:
                return "closed"

    return Counter(await asyncio.gather(*(placed(which) for which in range(number))))


async def endless_heads(target: Target, size: int) -> Counter[str]:
    """A URL, a header, a trailer and a chunk's size that do not end.

    `size` pieces of 60 kB each.
    """
    starts = [
        b"GET /",
        target.head("GET /")[:-2] + b"cookie: ",
        target.head("POST /chat/stream", "transfer-encoding: chunked") + b"0\r\nsum: ",
        target.head("POST /chat/stream", "transfer-encoding: chunked") + b"1;",
    ]

    async def one(which: int) -> str:
        reader, writer = await target.connect()
        answer = asyncio.create_task(status_of(reader))
        with suppress(OSError):
            writer.write(starts[which % len(starts)])
            for _ in range(size):
                writer.write(PIECE)
                await writer.drain()
        found = await answer
        writer.close()
        return found

    return await _many(8, one)


async def handshakes_with_long_heads(target: Target, size: int) -> Counter[str]:
    """A handshake with a header of 9 kB, which the WebSocket parser alone would never answer."""

    async def one(_: int) -> str:
        reader, writer = await target.connect()
        writer.write(
            target.head(
                "GET /ws/output/hostile", *HANDSHAKE.strip().split("\r\n"), "cookie: " + "x" * 9_000
            )
        )
        found = await status_of(reader)
        writer.close()
        return found

    return await _many(size, one)


async def ping_floods(target: Target, size: int) -> Counter[str]:
    """`size` thousands of pings on each of four sockets, whose answers nobody reads."""

    async def one(which: int) -> str:
        reader, writer = await target.socket(f"/ws/output/hostile-{which}")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(OSError):
            for _ in range(size):
                writer.write(Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 1_000)
                await asyncio.wait_for(writer.drain(), WAITS_S)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        found = await close_code(reader)
        writer.close()
        return found

    return await _many(4, one)


async def empty_fragments(target: Target, size: int) -> Counter[str]:
    """Messages that do not end, of frames without anything in them.

    `size` thousands on each of four sockets.
    """

    async def one(which: int) -> str:
        reader, writer = await target.socket(f"/ws/input?sessionId=hostile-{which}")
        with suppress(OSError):
            writer.write(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
            for _ in range(size):
                writer.write(Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1_000)
                await writer.drain()
        found = await close_code(reader)
        writer.close()
        return found

    return await _many(4, one)


async def slow_and_idle(target: Target, size: int) -> Counter[str]:
    """`size` connections: a third says nothing, a third half a head, a third half a body. All stay.

    Gives what became of them.
    """
    halves = [
        b"",
        target.head("GET /")[:-2] + b"x-slow: ",
        target.head("POST /chat/stream", "content-length: 9") + b"{",
    ]
    opened = []
    for which in range(size):
        with suppress(OSError):
            reader, writer = await target.connect()
            writer.write(halves[which % 3])
            opened.append((reader, writer))
    await asyncio.sleep(1)

    async def state(reader: asyncio.StreamReader) -> str:
        try:
            async with asyncio.timeout(1):
                await reader.read()
        except TimeoutError:
            return "open"
        except OSError:
            pass
        return "ended"

    found = Counter(await asyncio.gather(*(state(reader) for reader, _ in opened)))
    for _, writer in opened:
        writer.close()
    return found


async def many_turns(target: Target, size: int) -> Counter[str]:
    """`size` turns at once, each in a session of its own; whoever asks does not read."""
    writers: list[asyncio.StreamWriter] = []

    async def one(which: int) -> str:
        reader, writer = await target.connect()
        writers.append(writer)
        body = json.dumps(
            {"sessionId": f"hostile-{which}", "content": "Tell me a very long story, please."}
        ).encode()
        writer.write(
            target.head(
                "POST /chat/stream",
                "content-type: application/json",
                f"content-length: {len(body)}",
            )
            + body
        )
        return await status_of(reader)

    found = await _many(size, one, at_once=size)
    await asyncio.sleep(2)
    for writer in writers:
        writer.close()
    return found


async def turns_by_socket(target: Target, size: int) -> Counter[str]:
    """`size` sockets that each say four things at once."""
    found: Counter[str] = Counter()
    opened = []
    for which in range(size):
        try:
            reader, writer = await target.socket(f"/ws/input?sessionId=hostile-ws-{which}")
        except OSError:
            found["refused"] += 1
            continue
        for number in range(4):
            text = {
                "type": "text",
                "action": "data_chunk",
                "chunk_id": 0,
                "text": f"Say something long. {number}",
            }
            for frame in (text, {"action": "upload_complete"}):
                writer.write(Frame(Opcode.TEXT, json.dumps(frame).encode()).serialize(mask=True))
        opened.append((reader, writer))
    await asyncio.sleep(2)
    found["taken"] = len(opened)
    for _, writer in opened:
        writer.close()
    return found


async def recordings(target: Target, size: int) -> Counter[str]:
    """`size` recordings of 15 MB of noise, each over a socket of its own."""
    megabyte = b"OggS" + os.urandom(1_000_000)

    async def one(which: int) -> str:
        reader, writer = await target.socket(f"/ws/input?sessionId=hostile-rec-{which}")
        with suppress(OSError):
            for number in range(15):
                announced = json.dumps(
                    {"type": "audio", "action": "data_chunk", "chunk_id": number}
                ).encode()
                writer.write(Frame(Opcode.TEXT, announced).serialize(mask=True))
                writer.write(Frame(Opcode.BINARY, megabyte).serialize(mask=True))
                await writer.drain()
            writer.write(Frame(Opcode.TEXT, b'{"action":"upload_complete"}').serialize(mask=True))
            await writer.drain()
        found, rest = "none", b""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(30):
                while found == "none" and (data := await reader.read(2**16)):
                    rest = (rest + data)[-8_192:]
                    if b"upload_processed" in rest:
                        found = "queued" if b'"queued"' in rest else "refused"
        writer.close()
        return found

    return await _many(size, one, at_once=4)


async def broken_bodies(target: Target, size: int) -> Counter[str]:
    """Callers that leave in the middle of their body, and chunks whose sizes are no numbers."""
    halves = [
        target.head("POST /chat/stream", "content-length: 500") + b'{"sessionId":',
        target.head("POST /chat/stream", "transfer-encoding: chunked") + b"5\r\nhel",
        target.head("POST /control/stop", "transfer-encoding: chunked") + b"zz\r\nhello\r\n",
        target.head("POST /chat/stream", "content-length: -1"),
        target.head("POST /chat/stream", "content-length: 5", "transfer-encoding: chunked")
        + b"0\r\n\r\n",
    ]

    async def one(which: int) -> str:
        _, writer = await target.connect()
        writer.write(halves[which % len(halves)])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
        return "left"

    return await _many(size, one)


async def rebound_names(target: Target, size: int) -> Counter[str]:
    """Pages of a stranger that gave its name this address."""

    async def one(which: int) -> str:
        reader, writer = await target.connect()
        method, path = [
            ("GET", "/sessions"),
            ("POST", "/chat/stream"),
            ("GET", "/ws/output/live-001"),
            ("GET", "/"),
        ][which % 4]
        lines = [
            "origin: http://evil.example",
            "content-length: 0",
            *(HANDSHAKE.strip().split("\r\n") if "/ws/" in path else []),
        ]
        writer.write(
            "\r\n".join(
                [f"{method} {path} HTTP/1.1", "host: evil.example", *lines, "", ""]
            ).encode()
        )
        found = await status_of(reader)
        writer.close()
        return found

    return await _many(size, one)


ATTACKS: Final[dict[str, tuple[Attack, int, int]]] = {
    "endless heads": (endless_heads, 50, 2_000),
    "handshakes with long heads": (handshakes_with_long_heads, 8, 200),
    "ping floods": (ping_floods, 20, 1_000),
    "empty fragments": (empty_fragments, 20, 1_000),
    "slow and idle": (slow_and_idle, 450, 2_000),
    "many turns": (many_turns, 100, 300),
    "turns by socket": (turns_by_socket, 20, 300),
    "recordings": (recordings, 12, 50),
    "broken bodies": (broken_bodies, 50, 2_000),
    "rebound names": (rebound_names, 8, 200),
}
"""Each with its size in `make test` and in `make e2e-hostile`."""
