"""`vtuber talk`: a spoken conversation with the character.

The microphone is sent to `/ws/input`, which answers with interim results, final words and the text
of replies. The voice arrives from `/ws/output` like for any viewer. Without headphones the
microphone would record the voice, so frames are not sent while it plays.

The conversation ends when the source ends and everything said has been answered and played. Waiting
for this has limits, because an utterance may remain without an answer.
"""

import asyncio
import json
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from dialog_contracts import binary
from dialog_contracts.input_socket import Final as FinalWords
from dialog_contracts.input_socket import (
    InputError,
    MicStart,
    MicStop,
    Partial,
    SpeechDropped,
    SpeechStarted,
    TurnEvent,
)
from dialog_contracts.model import WireModel
from dialog_contracts.sse import split_event_id
from dialog_contracts.viewer import SUBPROTOCOL, SUBPROTOCOL_BINARY
from vtuber_cli import audio_source, gateway
from vtuber_cli.audio_sink import NO_PLAYER, AudioSink, FileSink, Speaker, unwritable
from vtuber_cli.audio_source import AudioSource, RecordError
from vtuber_cli.console import Console
from vtuber_cli.transcript import Transcript

REPLY_TIMEOUT_S: Final = 15.0
"""Seconds without any message after which an open answer is given up.

It applies when the source has ended.
"""

AUDIO_TIMEOUT_S: Final = 4.0
"""Seconds without any message after which the voice of a reply is given up."""

SPEECH_TIMEOUT_S: Final = 3.0
"""Seconds after which it is known whether the user spoke at the very end."""

_MESSAGES = (SpeechStarted, Partial, FinalWords, SpeechDropped, TurnEvent, InputError)
_FRAMES: Final[dict[str, type[WireModel]]] = {
    str(frame.model_fields["type"].default): frame for frame in _MESSAGES
}


class TalkError(gateway.GatewayUnreachable):
    """The gateway does not answer, has no speech recognition, or has closed the conversation."""


class Talk:
    """One conversation; it ends as described in the module, or when cancelled.

    `turns`: user and character take turns; no audio of the microphone is sent while the voice
    plays.
    """

    def __init__(
        self,
        url: str,
        session_id: str,
        source: AudioSource,
        voice: AudioSink,
        transcript: Transcript,
        *,
        lang: str | None,
        turns: bool,
    ) -> None:
        self._url, self._session_id = url, session_id
        self._source, self._voice, self._transcript = source, voice, transcript
        self._lang = lang
        self._in_turns = turns
        """While the voice plays, nothing of the microphone is sent."""
        self._unanswered = 0
        self._transcribed = False
        self._open: set[int] = set()
        self._without_audio: set[int] = set()
        """Turns whose voice has not ended."""
        self._ended: set[int] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Hold the conversation. Raises TalkError, RecordError."""
        try:
            async with (
                gateway.socket(
                    self._url, f"/ws/output/{self._session_id}", SUBPROTOCOL_BINARY
                ) as viewer,
                gateway.socket(
                    self._url, f"/ws/input?sessionId={self._session_id}", SUBPROTOCOL
                ) as input_socket,
            ):
                await self._converse(viewer, input_socket)
        except ConnectionClosed as error:
            raise TalkError(f"{self._url} ended the conversation ({error})") from error
        except (OSError, WebSocketException) as error:
            raise TalkError(gateway.unreachable_message(self._url, error)) from error
        finally:
            await self._voice.aclose()

    async def _converse(self, viewer: ClientConnection, input_socket: ClientConnection) -> None:
        speaking = asyncio.create_task(self._speak(input_socket))
        listening = [
            asyncio.create_task(self._listen(viewer)),
            asyncio.create_task(self._understand(input_socket)),
        ]
        try:
            await asyncio.wait([speaking, *listening], return_when=asyncio.FIRST_COMPLETED)
            for ended in listening:
                if ended.done():
                    ended.result()
            await speaking
        finally:
            for task in (speaking, *listening):
                task.cancel()
            await asyncio.gather(speaking, *listening, return_exceptions=True)

    async def _speak(self, input_socket: ClientConnection) -> None:
        start = MicStart(
            session_id=self._session_id,
            format="pcm_s16le",
            sample_rate=self._source.sample_rate,
            lang=self._lang,
        )
        await input_socket.send(start.to_json())
        try:
            async with aclosing(self._source.frames()) as frames:
                async for frame in frames:
                    if not (self._in_turns and self._voice.playing):
                        await input_socket.send(frame)
        finally:
            with suppress(ConnectionClosed):
                await input_socket.send(MicStop().to_json())
        await self._answered()

    async def _answered(self) -> None:
        """Wait until everything said is answered and played, or waiting is useless."""
        while (wait_s := self._wait_s()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                break
        await self._voice.wait_silent()

    def _wait_s(self) -> float:
        if self._unanswered or self._open:
            return REPLY_TIMEOUT_S
        if self._without_audio:
            return AUDIO_TIMEOUT_S
        return 0.0 if self._transcribed else SPEECH_TIMEOUT_S

    async def _understand(self, input_socket: ClientConnection) -> None:
        async for message in input_socket:
            # Ignore messages of newer versions.
            with suppress(ValueError, AttributeError):
                kind = _FRAMES.get(str(json.loads(message).get("type")))
                if kind is not None:
                    self._take(kind.from_json(message))
            self._changed.set()
        raise TalkError(f"{self._url} ended the conversation")

    def _take(self, frame: WireModel) -> None:
        if isinstance(frame, SpeechStarted):
            self._unanswered += 1
            self._transcribed = True
        elif isinstance(frame, Partial):
            self._transcript.partial(frame.text)
        elif isinstance(frame, SpeechDropped):
            self._settle()
            self._transcript.dropped()
        elif isinstance(frame, FinalWords):
            self._settle()
            self._transcribed = True
            self._open.add(frame.turn)
            self._without_audio |= {frame.turn} - self._ended
            self._transcript.final(frame.text)
        elif isinstance(frame, TurnEvent):
            self._reply(frame)
        elif isinstance(frame, InputError):
            self._refused(frame)

    def _reply(self, frame: TurnEvent) -> None:
        if frame.event == "text-delta" and frame.data.get("content"):
            self._transcript.reply(str(frame.data["content"]))
        if frame.event in ("done", "error"):
            turn = split_event_id(frame.id)[0] if frame.id is not None else 0
            self._open.discard(turn)
            self._transcript.replied()
            if frame.event == "error":
                self._without_audio.discard(turn)
                self._transcript.note(f"{frame.data.get('code')}: {frame.data.get('message')}")

    def _refused(self, error: InputError) -> None:
        if error.code == "asr_unavailable":
            raise TalkError(
                f"{error.message}. `vtuber models` downloads the speech models; then start `vtuber "
                "run` again"
            )
        if error.request_id is not None:
            self._settle()
        self._transcript.note(f"{error.code}: {error.message}")

    def _settle(self) -> None:
        """One utterance has become a message, or was dropped or rejected."""
        self._unanswered = max(0, self._unanswered - 1)

    async def _listen(self, viewer: ClientConnection) -> None:
        async for message in viewer:
            with suppress(ValueError, AttributeError):
                if isinstance(message, str):
                    self._controlled(json.loads(message))
                elif (chunk := binary.unpack(message)).codec == binary.PCM:
                    self._voice.feed(chunk.turn, chunk.payload, chunk.sample_rate)
            self._changed.set()
        raise TalkError(f"{self._url} ended the conversation")

    def _controlled(self, frame: dict[str, object]) -> None:
        action, turn = frame.get("action"), frame.get("turn")
        number = turn if isinstance(turn, int) else None
        if action == "END" and number is not None:
            self._voice.end(number)
        elif action in ("STOP", "STOP_ACK"):
            self._voice.flush(number)
        elif action == "PAUSE":
            self._voice.pause()
        elif action == "RESUME":
            self._voice.resume()
        if action in ("END", "STOP_ACK") and number is not None:
            self._ended.add(number)
            self._without_audio.discard(number)


def main(
    url: str,
    session_id: str,
    *,
    lang: str | None,
    wav_path: Path | None,
    out_path: Path | None,
    headphones: bool,
) -> int:
    """The command; exit status 0 if it ended by itself or by Ctrl-C, else 1."""
    console = Console(sys.stdout)
    transcript = Transcript(console)

    async def talk() -> None:
        def silent(why: str) -> None:
            transcript.note(f"{why}: replies are shown as text only; --out FILE saves the voice")

        voice: AudioSink | None = (
            FileSink(out_path) if out_path is not None else Speaker.default_output(silent)
        )
        if voice is None:
            silent(NO_PLAYER)
            voice = FileSink(None)
        in_turns = source.has_echo and not headphones
        if source.has_echo:
            hint = (
                "one at a time (with --headphones you can interrupt at any time)"
                if in_turns
                else "you can interrupt at any time"
            )
            console.say(console.paint(f"Speak; {hint}. Ctrl-C ends it.", "grey"))
        await Talk(
            url.rstrip("/"), session_id, source, voice, transcript, lang=lang, turns=in_turns
        ).run()

    if out_path is not None and (why := unwritable(out_path)) is not None:
        sys.stderr.write(f"--out: {why}\n")
        return 1
    try:
        source = audio_source.open_source(wav_path)
        asyncio.run(talk())
    # OSError: the WAV file cannot be written.
    except (gateway.GatewayUnreachable, RecordError, OSError) as error:
        transcript.replied()
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        console.say()
        return 0
    transcript.replied()
    if out_path is not None:
        console.say(f"voice: {out_path}")
    return 0
