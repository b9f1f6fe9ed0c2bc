"""What `vtuber say` receives of one turn: its sound as it comes, kept, and given to a player at once."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection

from dialog_contracts import binary
from dialog_contracts.ingest import Stop
from vtuber_cli.audio_sink import AudioSink

IDLE_TIMEOUT_S: Final = 4.0
"""A voice that streams, or should, and is silent for so long is taken for ended."""

FILE_TIMEOUT_S: Final = 40.0
"""Of a voice that comes as one file after the text: output-handler ends the turn itself when there is none within 30 s."""

STOP_TIMEOUT_S: Final = 1.0


@dataclass(slots=True)
class TurnResult:
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
class SayTimeouts:
    """How long to wait for sound, in s."""

    idle: float = IDLE_TIMEOUT_S
    file: float = FILE_TIMEOUT_S


class TurnPlayback:
    """Listens from the moment it is made; `result.turn`, once it is known, says which turn is ours, and only that is played."""

    def __init__(
        self, viewer: ClientConnection, result: TurnResult, began: float, voice: AudioSink | None
    ) -> None:
        self._viewer, self._result, self._began, self._voice = viewer, result, began, voice
        self._turn: int | None = None
        """The one whose sound comes now."""
        self._start = 0
        """Counts STARTs: a number that was withdrawn and is answered again is another sound."""
        self._played = 0
        self._listening = asyncio.create_task(self._listen())

    async def ended(self, timeouts: SayTimeouts) -> None:
        """Until the turn's end is told; a voice that is silent for too long has none."""
        result = self._result
        while True:
            before = (len(result.pcm), result.voice_follows)
            awaited = result.voice_follows and not result.pcm
            await asyncio.wait(
                [self._listening], timeout=timeouts.file if awaited else timeouts.idle
            )
            if self._listening.done() or before == (len(result.pcm), result.voice_follows):
                break
        if self._voice is not None:
            self.pass_on()
            self._voice.end(self._start)
            await self._voice.wait_silent()

    async def stop(self, session_id: str) -> None:
        """Nobody listens any more: not a word more of our turn, and of no other."""
        if self._voice is not None:
            self._voice.flush(None)
        if self._result.turn is None or self._listening.done():
            return
        began = time.monotonic()
        await self._viewer.send(
            Stop(session_id=session_id, turn=self._result.turn, reason="say").to_json()
        )
        await asyncio.wait([self._listening], timeout=STOP_TIMEOUT_S)
        if self._listening.done():
            self._result.silence = time.monotonic() - began

    async def aclose(self) -> None:
        """Listen no longer, and fall silent."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        if self._voice is not None:
            await self._voice.aclose()

    def pass_on(self) -> None:
        """What came of our turn, to the player."""
        result = self._result
        if (
            self._voice is not None
            and result.turn is not None
            and result.turn == self._turn
            and self._played < len(result.pcm)
        ):
            self._voice.feed(self._start, bytes(result.pcm[self._played :]), result.sample_rate)
            self._played = len(result.pcm)

    async def _listen(self) -> None:
        """Collect the sound of our turn until nothing more follows; the turn before may still be sounding."""
        async for message in self._viewer:
            # A frame of a version to come is no reason to end.
            with suppress(ValueError, AttributeError):
                if isinstance(message, bytes):
                    self._sounds(binary.unpack(message))
                elif self._is_last(json.loads(message)):
                    return

    def _sounds(self, chunk: binary.BinaryChunk) -> None:
        if chunk.turn != self._turn:
            return
        result = self._result
        result.first_audio = result.first_audio or time.monotonic() - self._began
        result.sample_rate = chunk.sample_rate
        result.pcm += chunk.payload
        self.pass_on()

    def _is_last(self, frame: dict[str, object]) -> bool:
        action, turn = frame.get("action"), frame.get("turn")
        if action == "START" and isinstance(turn, int):
            self._turn, self._played = turn, 0
            self._start += 1
            self._result.pcm.clear()
            self._result.first_audio = None
        elif action == "STOP_ACK" and frame.get("heardText") is None and turn == self._turn:
            # Withdrawn: the legacy chain may answer under the same number, with a START of its own.
            self._turn = None
            if self._voice is not None:
                self._voice.flush(self._start)
        elif turn == self._turn == self._result.turn:
            return self._over(frame)
        return False

    def _over(self, frame: dict[str, object]) -> bool:
        """Whether this frame of our turn is its last."""
        if frame.get("action") == "END":
            self._result.voice_follows = frame.get("voiceFollows") is True
            return not self._result.voice_follows
        if frame.get("action") == "STOP_ACK" and self._voice is not None:
            self._voice.flush(self._start)
        return frame.get("action") == "STOP_ACK" or (
            frame.get("type") == "STATE" and frame.get("phase") == "IDLE"
        )
