"""A local server with the WebSocket protocol of Edge's read-aloud voices.

Run it with `python -m dialog_voice.testing.edge_server --port 8011`. It sends one hum per word, in
real MP3, with word boundaries as the service sends them. Its behaviour comes from a script (one
`Behaviour` per connection, in order), else from a default. Tests in the same process inspect
`requests` afterwards.
"""

import asyncio
import base64
import html
import json
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp
from aiohttp import web

from dialog_providers.testing.vendor_server import VendorServer, cut_off, main
from dialog_voice.visemes.estimator import words_of

Kind = Literal["ok", "status", "cut", "silent", "stall", "no_audio", "garbage", "unknown_path"]

# Five frames of a synthetic voice by LAME (24 kHz, mono, 48 kbit/s, no bit reservoir, so that they
# can be repeated): 120 ms.
_MP3: Final = (
    "//NkxAAfSibGXm4WdJAPSBN4wPUwfjOOsTcEFU0P4YilHSt9Exl5SHv89WRm/0FrbM0Du++cfLyFxJfdrLD2R6Yfra9M0a51K3H88e/n16e9wF"
    "Beo23m4gu3/HF64J08RJpfe8711Q+LrEGOwBwGqlw9FN0vhi8vo6HROj3vvss//oWXg4Bg6VjGJiCmooAA//NkxAAfSzK6PsLLNIwGACjAAkfo"
    "/bLB/WuJRc1zZVDBNhmNu4WwQNnqvaQqwh63KvkgcB7uRzKZFTSbCzxhCXvnm4O/fx/52+f+P/JA6jaIsFw9L1ex3HBTFHDxLAPBFNWyxHfM2C"
    "OCKWOgGBnX6f/n2fpVtP/1701a6b/7muPZGKw9RB4If/02JiCmooAA//NkxAAfQyLOXsLLNqS2IQDISTG853Vk39KKNS/W6YeSmzYUM7xHpL7O"
    "cgOgRfnMorus0PWsdUivcsO+o37/l1Onspbe7Pml3aS33/wTrq6KQGnMdERHwovwqmJC5H3udMSbj0ebbAIR6b//93ap6s6IcjM1ZUX6L7W/6+"
    "QtDVQaMD4NBlH//nPoTEFNRQAA//NkxAAgezLSX1hoA66oCUZISHHBCphhkLzBthUjOHErytB5pTWGV/69aPmpQ1hUVu55gAPAKozJIkBPAT8e"
    "MpOYEiShobMc02VapJOknSZJB0UP1JVKJAfSWumpFtb61qNVa3b3WtaboJDyRPl9knazKZ11r30bbLdXWp/dn9//9fdL1V0aszLhkZotQiqY//"
    "NkxAAgqeakAZjAAJph+SHeUxlcA4F8mUXZVHgS1s40RymHMoNZIWzkMTVgxc0Kgt0gWpGaBobmECr8jlMNQ7U1r23lF/fu9Lt8/8efv/3r////"
    "/38APDnAuWuNig+ve32tKqb/3WeOTP7bldZ7e2od2/1+tEpfW3KrW/q1rVr75hbG0Bj//SgVMs9Vjv9A"
)
FRAMES: Final = base64.b64decode(_MP3)
FRAMES_MS: Final = 120

_TICKS_PER_MS: Final = 10_000
_MESSAGE_BYTES: Final = 720


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers one connection."""

    kind: Kind = "ok"
    """How the turn ends.

    - ok: the whole turn
    - status: the handshake is rejected
    - cut: the socket is aborted after `words` words
    - silent: nothing after turn.start
    - stall: nothing after `words` words
    - no_audio: a turn without audio
    - garbage: audio that is not MP3
    - unknown_path: a message that no client knows
    """

    words: int = 2
    status: int = 403
    first_audio_s: float = 0.0
    per_word_s: float = 0.0
    word_ms: int = 2 * FRAMES_MS


@dataclass(slots=True, eq=False)
class Request:
    """One received connection."""

    voice: str
    text: str
    ssml: str
    behaviour: Behaviour
    finished: bool = False
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)


class EdgeServer(VendorServer):
    """The server; `async with EdgeServer() as server: EdgeConfig(endpoint=server.address)`."""

    def __init__(
        self, script: Iterable[Behaviour] = (), *, default: Behaviour | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.received = asyncio.Event()
        """Set with the first request."""
        self.refused = 0
        self.script = deque(script)
        self._default = default or Behaviour()
        super().__init__(
            [web.get("/edge/v1", self._connection)],
            "ws://{host}:{port}/edge/v1?TrustedClientToken=mock",
        )

    async def _connection(self, http: web.Request) -> web.StreamResponse:
        behaviour = self.script.popleft() if self.script else self._default
        if behaviour.kind == "status":
            self.refused += 1
            return web.Response(status=behaviour.status)
        socket = web.WebSocketResponse()
        await socket.prepare(http)
        config = await socket.receive_str()
        ssml = await socket.receive_str()
        assert "Path:speech.config" in config
        voice = re.search(r"<voice name='([^']*)'", ssml)
        text = re.search(r"<prosody[^>]*>(.*)</prosody>", ssml, re.DOTALL)
        assert voice is not None
        assert text is not None
        request = Request(voice.group(1), html.unescape(text.group(1)), ssml, behaviour)
        self.requests.append(request)
        self.received.set()
        speaker = asyncio.create_task(self._speak(http, socket, request))
        try:
            # Only a reader of the socket notices that the other side left.
            while (await socket.receive()).type not in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.CLOSED,
            ):
                continue
        finally:
            request.disconnected.set()
            speaker.cancel()
            await asyncio.wait([speaker])
        return socket

    async def _speak(
        self, http: web.Request, socket: web.WebSocketResponse, request: Request
    ) -> None:
        behaviour = request.behaviour
        await socket.send_str(_headed("turn.start", {"context": {"serviceTag": "mock"}}))
        await socket.send_str(_headed("response", {"context": {"serviceTag": "mock"}}))
        if behaviour.kind == "silent":
            return
        await asyncio.sleep(behaviour.first_audio_s)
        if behaviour.kind == "unknown_path":
            await socket.send_str(_headed("surprise", {}))
            return
        words = [] if behaviour.kind == "no_audio" else words_of(request.text)
        for number, (start, end) in enumerate(words):
            if number == behaviour.words and behaviour.kind in ("cut", "stall"):
                break
            if number:
                await asyncio.sleep(behaviour.per_word_s)
            await self._word(socket, behaviour, number, request.text[start:end])
        if behaviour.kind == "cut":
            await cut_off(http)
        elif behaviour.kind != "stall":
            await socket.send_bytes(_binary(b"", typed=False))
            await socket.send_str(_headed("turn.end", {}))
            request.finished = True

    async def _word(
        self, socket: web.WebSocketResponse, behaviour: Behaviour, number: int, word: str
    ) -> None:
        data = {
            "Offset": number * behaviour.word_ms * _TICKS_PER_MS,
            "Duration": (behaviour.word_ms - 20) * _TICKS_PER_MS,
            "text": {
                "Text": html.escape(word, quote=False),
                "Length": len(word),
                "BoundaryType": "WordBoundary",
            },
        }
        await socket.send_str(
            _headed("audio.metadata", {"Metadata": [{"Type": "WordBoundary", "Data": data}]})
        )
        audio = FRAMES * (behaviour.word_ms // FRAMES_MS)
        if behaviour.kind == "garbage":
            audio = b"\x00" * len(audio)
        for start in range(0, len(audio), _MESSAGE_BYTES):
            await socket.send_bytes(_binary(audio[start : start + _MESSAGE_BYTES]))


def _headed(path: str, body: dict[str, Any]) -> str:
    return f"X-RequestId:0\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}\r\n\r\n{json.dumps(body)}"


def _binary(data: bytes, *, typed: bool = True) -> bytes:
    """Return a binary message: the length of the headers in two bytes, the headers, the data."""
    kind = b"Content-Type:audio/mpeg\r\n" if typed else b""
    headers = b"X-RequestId:0\r\n" + kind + b"X-StreamId:0\r\nPath:audio\r\n"
    return len(headers).to_bytes(2, "big") + headers + data


if __name__ == "__main__":
    main(EdgeServer, "Edge's read-aloud service", 8011)
