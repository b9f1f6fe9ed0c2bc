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
from dialog_contracts.ingest import Stop
from dialog_contracts.sse import DoneEvent, ErrorEvent, SseParser, TextDeltaEvent, split_event_id
from dialog_contracts.viewer import SUBPROTOCOL_BINARY
from vtuber_cli import gateway, providers, speaker

QUIET_S: Final = 4.0
"""A voice that streams, or should, and is silent for so long is taken for ended."""

FILE_WITHIN_S: Final = 40.0
"""Of a voice that comes as one file after the text: output-handler ends the turn itself when there is none within 30 s."""

STOPPED_WITHIN_S: Final = 1.0
INTERRUPTED: Final = 130


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
    voice_follows: bool = False
    """Its voice is made after its text, as one file."""
    interrupted: bool = False
    """By whoever waited for it, who left."""
    silence: float | None = None
    """From STOP to the word that nothing follows."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for sound, in s."""

    quiet: float = QUIET_S
    file: float = FILE_WITHIN_S


async def say(
    url: str, session_id: str, text: str, *, lang: str | None, show: Callable[[str], None], patience: Patience | None = None
) -> Heard:
    """One turn over the public API; raises CannotSay. Who cancels it stops the turn, and has what was heard until then."""
    heard = Heard()
    try:
        async with gateway.socket(url, f"/ws/output/{session_id}", SUBPROTOCOL_BINARY) as viewer:
            began = time.monotonic()
            listening = asyncio.create_task(_listen(viewer, heard, began))
            try:
                await _ask(url, session_id, text, lang, heard, began, show)
                await _voice_ended(listening, heard, patience or Patience())
            except asyncio.CancelledError:
                await _stop(viewer, session_id, listening, heard)
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
                    heard.voice_follows = event.stats.voice == "file" or (
                        event.stats.path == "legacy" and event.stats.voice != "unavailable"
                    )


async def _listen(viewer: ClientConnection, heard: Heard, began: float) -> None:
    """Collect the sound of our turn until nothing more follows; the turn before may still be sounding."""
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
        elif frame.get("action") == "STOP_ACK" and frame.get("heardText") is None and frame.get("turn") == turn:
            # Withdrawn: the legacy chain may answer under the same number, with a START of its own.
            turn = None
        elif frame.get("turn") == turn == heard.turn and _over(frame, heard):
            return


def _over(frame: dict[str, object], heard: Heard) -> bool:
    """Whether this frame of our turn is its last."""
    if frame.get("action") == "END":
        heard.voice_follows = frame.get("voiceFollows") is True
        return not heard.voice_follows
    return frame.get("action") == "STOP_ACK" or (frame.get("type") == "STATE" and frame.get("phase") == "IDLE")


async def _voice_ended(listening: asyncio.Task[None], heard: Heard, patience: Patience) -> None:
    """Until the turn's end is told; a voice that is silent for too long has none."""
    while True:
        before = (len(heard.pcm), heard.voice_follows)
        awaited = heard.voice_follows and not heard.pcm
        await asyncio.wait([listening], timeout=patience.file if awaited else patience.quiet)
        if listening.done() or before == (len(heard.pcm), heard.voice_follows):
            return


async def _stop(viewer: ClientConnection, session_id: str, listening: asyncio.Task[None], heard: Heard) -> None:
    """Nobody listens any more: not a word more of our turn, and of no other."""
    heard.interrupted = True
    if heard.turn is None or listening.done():
        return
    began = time.monotonic()
    await viewer.send(Stop(session_id=session_id, turn=heard.turn, reason="say").to_json())
    await asyncio.wait([listening], timeout=STOPPED_WITHIN_S)
    if listening.done():
        heard.silence = time.monotonic() - began


def _refusal(status: int, body: str) -> str:
    try:
        error = json.loads(body)
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError):
        return f"HTTP {status}"


def main(url: str, session_id: str, text: str, *, lang: str | None, wav_path: Path | None) -> int:
    """The command; exit status 0 when the turn was answered, 130 when Ctrl-C stopped it."""

    def show(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    try:
        heard = asyncio.run(say(url.rstrip("/"), session_id, text, lang=lang, show=show))
    except CannotSay as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        # Before there was anything to stop.
        return INTERRUPTED
    print()
    if heard.interrupted and wav_path is None:
        print("voice: stopped")
    elif heard.pcm:
        file = speaker.wav(bytes(heard.pcm), heard.sample_rate)
        if wav_path is not None:
            wav_path.write_bytes(file)
            print(f"voice: {wav_path} ({len(heard.pcm) / 2 / heard.sample_rate:.1f} s)")
        elif not speaker.play(file):
            print("voice: no player found (aplay, paplay, afplay, ffplay, play); --wav FILE saves it")
    else:
        print("voice: none came")
    if (by := providers.of_turn(heard.stats)) is not None:
        print(by)
    times = {
        "first text": heard.first_text,
        "first audio": heard.first_audio,
        "whole text": heard.total,
        "stop to silence": heard.silence,
    }
    print(
        f"{session_id}#{heard.turn}  "
        + "  ".join(f"{name} {value * 1000:.0f} ms" for name, value in times.items() if value is not None)
    )
    if heard.stats.get("path") == "legacy":
        print(f"answered by the fallback: {heard.stats.get('fallback_reason') or 'no reason given'}")
    return INTERRUPTED if heard.interrupted else 0
