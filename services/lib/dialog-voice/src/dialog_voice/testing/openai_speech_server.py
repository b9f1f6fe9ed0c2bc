"""A local server with OpenAI's `POST /v1/audio/speech`.

Run it with `python -m dialog_voice.testing.openai_speech_server --port 8012`. It answers with a hum
of 200 ms per word, as raw PCM, or with what `audio` makes of the text. Its behaviour comes from a
script (one `Behaviour` per request, in order), else from a default. Tests in the same process
inspect `requests` afterwards.
"""

import asyncio
import math
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from dialog_providers.testing.vendor_server import VendorServer, cut_off, main
from dialog_voice.visemes.estimator import words_of
from dialog_voice.voice import SAMPLE_RATE

Kind = Literal["ok", "status", "cut", "empty", "stall", "json"]

WORD_MS: Final = 200


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers one request."""

    kind: Kind = "ok"
    """How the response ends.

    - ok: the whole audio
    - status: an error
    - cut: the connection is aborted after `pieces`
    - stall: nothing after `pieces`
    - empty: no byte
    - json: status 200, but without audio
    """

    piece_bytes: int = 4_801
    """Size of the pieces; odd by default, since no network keeps samples whole."""

    pieces: int = 2
    first_audio_s: float = 0.0
    per_piece_s: float = 0.0
    content_type: str = "audio/pcm"
    whole: bytes = b""
    """Bytes to send instead of the audio."""

    status: int = 200
    message: str = "mocked failure"


@dataclass(slots=True, eq=False)
class Request:
    """One received request."""

    body: dict[str, Any]
    authorization: str
    behaviour: Behaviour
    finished: bool = False
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)


class OpenAiSpeechServer(VendorServer):
    """The server; its address ends in /v1."""

    def __init__(
        self,
        script: Iterable[Behaviour] = (),
        *,
        default: Behaviour | None = None,
        audio: Callable[[str], bytes] | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.received = asyncio.Event()
        """Set with the first request."""
        self.script = deque(script)
        self._default = default or Behaviour()
        self._audio = audio or (lambda text: hum(len(words_of(text)) * WORD_MS))
        routes = [web.post("/v1/audio/speech", self._speech), web.get("/v1/models", self._models)]
        super().__init__(routes, "http://{host}:{port}/v1")

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _speech(self, http: web.Request) -> web.StreamResponse:
        behaviour = self.script.popleft() if self.script else self._default
        request = Request(await http.json(), http.headers.get("Authorization", ""), behaviour)
        self.requests.append(request)
        self.received.set()
        try:
            return await self._answer(http, request)
        except (asyncio.CancelledError, ConnectionError):
            request.disconnected.set()
            raise

    async def _answer(self, http: web.Request, request: Request) -> web.StreamResponse:
        behaviour = request.behaviour
        await asyncio.sleep(behaviour.first_audio_s)
        if behaviour.kind == "status":
            return web.json_response(
                {"error": {"message": behaviour.message}}, status=behaviour.status
            )
        if behaviour.kind == "json":
            return web.json_response({"audio": "elsewhere"})
        response = web.StreamResponse(headers={"Content-Type": behaviour.content_type})
        await response.prepare(http)
        audio = (
            b""
            if behaviour.kind == "empty"
            else behaviour.whole or self._audio(str(request.body["input"]))
        )
        for number, start in enumerate(range(0, len(audio), behaviour.piece_bytes)):
            if number == behaviour.pieces and behaviour.kind in ("cut", "stall"):
                break
            if number:
                await asyncio.sleep(behaviour.per_piece_s)
            await response.write(audio[start : start + behaviour.piece_bytes])
        if behaviour.kind == "cut":
            await cut_off(http)
        elif behaviour.kind == "stall":
            await asyncio.Event().wait()
        else:
            request.finished = True
        return response


def hum(duration_ms: int) -> bytes:
    """Return a tone of 220 Hz that swells and fades five times per second, as syllables do."""
    samples = array("h")
    for at in range(duration_ms * SAMPLE_RATE // 1000):
        swell = 0.5 - 0.5 * math.cos(2 * math.pi * 5 * at / SAMPLE_RATE)
        samples.append(int(9000 * swell * math.sin(2 * math.pi * 220 * at / SAMPLE_RATE)))
    return samples.tobytes()


if __name__ == "__main__":
    main(OpenAiSpeechServer, "OpenAI's speech endpoint", 8012)
