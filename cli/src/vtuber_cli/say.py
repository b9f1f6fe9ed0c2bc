"""`vtuber say`: one turn in the terminal; text as it streams, the voice to a file or the speaker, and the times at the ear's side."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from dialog_contracts import binary
from dialog_contracts.sse import DoneEvent, ErrorEvent, SseParser, TextDeltaEvent, split_event_id
from dialog_contracts.viewer import SUBPROTOCOL_BINARY
from vtuber_cli import gateway, speaker

VOICE_WAIT_S: Final = 4.0


class CannotSay(gateway.CannotReach):
    """Nobody is there, or the turn was refused."""


@dataclass(slots=True)
class Heard:
    """What came of a turn. Times in s from the request."""

    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    sample_rate: int = 24_000
    first_text: float | None = None
    first_audio: float | None = None
    total: float | None = None
    turn: int | None = None
    stats: dict[str, object] = field(default_factory=dict)


async def say(
    url: str, session_id: str, text: str, *, lang: str | None, show: Callable[[str], None], voice_wait_s: float = VOICE_WAIT_S
) -> Heard:
    """One turn over the public API; raises CannotSay."""
    heard = Heard()
    try:
        async with gateway.socket(url, f"/ws/output/{session_id}", SUBPROTOCOL_BINARY) as viewer:
            began = time.monotonic()
            listening = asyncio.create_task(_listen(viewer, heard, began))
            try:
                await _ask(url, session_id, text, lang, heard, began, show)
                await _voice_ended(listening, heard, voice_wait_s)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    except (OSError, WebSocketException, aiohttp.ClientError) as error:
        raise CannotSay(gateway.no_answer(url, error)) from error
    return heard


async def _ask(
    url: str, session_id: str, text: str, lang: str | None, heard: Heard, began: float, show: Callable[[str], None]
) -> None:
    body = {
        "sessionId": session_id,
        "content": text,
        "meta": {"requestId": str(uuid.uuid4()), **({"lang": lang} if lang else {})},
    }
    parser = SseParser()
    async with aiohttp.ClientSession() as http, http.post(f"{url}/chat/stream", json=body) as answer:
        if answer.status != 200:
            raise CannotSay(_refusal(answer.status, await answer.text()))
        async for data in answer.content.iter_any():
            for frame in parser.feed(data):
                event = frame.parse()
                if frame.id is not None:
                    heard.turn = split_event_id(frame.id)[0]
                if isinstance(event, TextDeltaEvent) and event.content:
                    heard.first_text = heard.first_text or time.monotonic() - began
                    heard.text += event.content
                    show(event.content)
                elif isinstance(event, ErrorEvent):
                    raise CannotSay(f"{event.code}: {event.message}")
                elif isinstance(event, DoneEvent):
                    heard.total = time.monotonic() - began
                    heard.stats = event.stats.to_wire()


async def _listen(viewer: ClientConnection, heard: Heard, began: float) -> None:
    """Collect the sound of our turn until its END or STOP_ACK; the turn before may still be sounding."""
    turn = None
    async for message in viewer:
        if isinstance(message, bytes):
            chunk = binary.unpack(message)
            if chunk.turn == turn:
                heard.first_audio = heard.first_audio or time.monotonic() - began
                heard.sample_rate = chunk.sample_rate
                heard.pcm += chunk.payload
            continue
        frame = json.loads(message)
        if frame.get("action") == "START":
            turn = frame["turn"]
            heard.pcm.clear()
            heard.first_audio = None
        elif frame.get("action") in ("END", "STOP_ACK") and frame.get("turn") == turn == heard.turn:
            return


async def _voice_ended(listening: asyncio.Task[None], heard: Heard, wait_s: float) -> None:
    """END comes when all sound was sent; with a voice that is silent for `wait_s` there is nothing to wait for."""
    before = -1
    while not listening.done() and len(heard.pcm) != before:
        before = len(heard.pcm)
        await asyncio.wait([listening], timeout=wait_s)


def _refusal(status: int, body: str) -> str:
    try:
        error = json.loads(body)
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError):
        return f"HTTP {status}"


def main(url: str, session_id: str, text: str, *, lang: str | None, wav_path: Path | None) -> int:
    """The command; exit status 0 when the turn was answered."""

    def show(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    try:
        heard = asyncio.run(say(url.rstrip("/"), session_id, text, lang=lang, show=show))
    except CannotSay as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print()
    if heard.pcm:
        file = speaker.wav(bytes(heard.pcm), heard.sample_rate)
        if wav_path is not None:
            wav_path.write_bytes(file)
            print(f"voice: {wav_path} ({len(heard.pcm) / 2 / heard.sample_rate:.1f} s)")
        elif not speaker.play(file):
            print("voice: no player found (aplay, paplay, afplay, ffplay, play); --wav FILE saves it")
    else:
        print("voice: none came")
    times = {"first text": heard.first_text, "first audio": heard.first_audio, "whole text": heard.total}
    print(
        f"{session_id}#{heard.turn}  "
        + "  ".join(f"{name} {value * 1000:.0f} ms" for name, value in times.items() if value is not None)
    )
    if heard.stats.get("path") == "legacy":
        print(f"answered by the fallback: {heard.stats.get('fallback_reason') or 'no reason given'}")
    return 0
