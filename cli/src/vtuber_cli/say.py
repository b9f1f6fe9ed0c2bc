"""`vtuber say`: one turn in the terminal, with its text, its voice and its latencies."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
from websockets.exceptions import WebSocketException

from dialog_contracts.sse import DoneEvent, ErrorEvent, SseParser, TextDeltaEvent, split_event_id
from dialog_contracts.viewer import SUBPROTOCOL_BINARY
from dialog_contracts.wav import wav_file
from dialog_telemetry.nonblocking_output import non_blocking
from vtuber_cli import gateway, provider_summary
from vtuber_cli.audio_sink import NO_PLAYER, AudioSink, Speaker, unwritable
from vtuber_cli.turn_playback import SayTimeouts, TurnPlayback, TurnResult

INTERRUPTED: Final = 130


class SayError(gateway.GatewayUnreachable):
    """The gateway does not answer, or the turn was rejected."""


async def say(
    url: str,
    session_id: str,
    text: str,
    *,
    lang: str | None,
    show: Callable[[str], None],
    voice: AudioSink | None = None,
    timeouts: SayTimeouts | None = None,
) -> TurnResult:
    """Run one turn over the public API. Raises SayError.

    `show` is called with each piece of text; `voice` plays the audio as it comes. Cancelling it
    stops the turn, and returns what came before.
    """
    result = TurnResult()
    try:
        async with gateway.socket(url, f"/ws/output/{session_id}", SUBPROTOCOL_BINARY) as viewer:
            began = time.monotonic()
            playback = TurnPlayback(viewer, result, began, voice)
            try:
                await _ask(url, session_id, text, lang, result, playback, began, show)
                await playback.ended(timeouts or SayTimeouts())
            except asyncio.CancelledError:
                result.interrupted = True
                await playback.stop(session_id)
            finally:
                await playback.aclose()
    except (OSError, WebSocketException, aiohttp.ClientError) as error:
        raise SayError(gateway.unreachable_message(url, error)) from error
    return result


async def _ask(
    url: str,
    session_id: str,
    text: str,
    lang: str | None,
    result: TurnResult,
    playback: TurnPlayback,
    began: float,
    show: Callable[[str], None],
) -> None:
    body = {
        "sessionId": session_id,
        "content": text,
        "meta": {"requestId": str(uuid.uuid4()), **({"lang": lang} if lang else {})},
    }
    parser = SseParser()
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/chat/stream", json=body, ssl=gateway.trust(url) or True) as answer,
    ):
        if answer.status != 200:
            raise SayError(_refusal(answer.status, await answer.text()))
        async for data in answer.content.iter_any():
            for frame in parser.feed(data):
                event = frame.parse()
                if frame.id is not None:
                    result.turn = split_event_id(frame.id)[0]
                    playback.pass_on()
                if isinstance(event, TextDeltaEvent) and event.content:
                    result.first_text = result.first_text or time.monotonic() - began
                    result.text += event.content
                    show(event.content)
                elif isinstance(event, ErrorEvent):
                    raise SayError(f"{event.code}: {event.message}")
                elif isinstance(event, DoneEvent):
                    result.total = time.monotonic() - began
                    result.stats = event.stats.to_wire()
                    result.voice_follows = event.stats.voice == "file" or (
                        event.stats.path == "legacy" and event.stats.voice != "unavailable"
                    )


def _refusal(status: int, body: str) -> str:
    try:
        error = json.loads(body)
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"


def main(url: str, session_id: str, text: str, *, lang: str | None, wav_path: Path | None) -> int:
    """The command. Exit status 0 if the turn was answered, 1 for an error, 130 after Ctrl-C."""
    # A reader of the output that leaves early must not end the turn.
    out, troubles, begun = non_blocking(sys.stdout), list[str](), list[str]()
    if wav_path is not None and (why := unwritable(wav_path)) is not None:
        sys.stderr.write(f"--wav: {why}\n")
        return 1

    def show(piece: str) -> None:
        begun[:] = [piece]
        out.write(piece)
        out.flush()

    async def work() -> TurnResult:
        voice = Speaker.default_output(troubles.append) if wav_path is None else None
        if wav_path is None and voice is None:
            troubles.append(NO_PLAYER)
        return await say(url.rstrip("/"), session_id, text, lang=lang, show=show, voice=voice)

    try:
        result = asyncio.run(work())
    except SayError as error:
        sys.stderr.write("\n" * bool(begun) + f"{error}\n")
        return 1
    except KeyboardInterrupt:
        # Ctrl-C before the turn began.
        return INTERRUPTED
    if wav_path is not None and result.pcm:
        try:
            wav_path.write_bytes(wav_file(bytes(result.pcm), result.sample_rate))
        except OSError as error:
            sys.stderr.write(f"\nvoice: {wav_path} could not be written ({error.strerror})\n")
            return 1
    by = provider_summary.turn_summary(result.stats)
    shown = [
        _voice(result, wav_path, troubles),
        *([by] if by is not None else []),
        _times(session_id, result),
    ]
    out.write("\n" + "\n".join(shown) + "\n")
    if result.stats.get("path") == "legacy":
        out.write(
            "answered by the fallback: "
            f"{result.stats.get('fallback_reason') or 'no reason given'}\n"
        )
    out.flush()
    return INTERRUPTED if result.interrupted else 0


def _voice(result: TurnResult, wav_path: Path | None, troubles: list[str]) -> str:
    """Return one line about the voice."""
    seconds = len(result.pcm) / 2 / result.sample_rate
    if result.interrupted and wav_path is None:
        return "voice: stopped"
    if not result.pcm:
        return "voice: no audio was received"
    if wav_path is None:
        return (
            f"voice: {troubles[0]}; --wav FILE saves it"
            if troubles
            else f"voice: played ({seconds:.1f} s)"
        )
    return f"voice: {wav_path} ({seconds:.1f} s)"


def _times(session_id: str, result: TurnResult) -> str:
    times = {
        "first text": result.first_text,
        "first audio": result.first_audio,
        "whole text": result.total,
        "stop to silence": result.silence,
    }
    known = (f"{name} {value * 1000:.0f} ms" for name, value in times.items() if value is not None)
    return f"{session_id}#{result.turn}  " + "  ".join(known)
