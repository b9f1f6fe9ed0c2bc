"""Receives the audio of one turn for `vtuber say`, and passes it to a player at once.

The viewer socket also carries other turns: the turn before may still play when the request is sent.
The number of our turn is known only when the first event of the answer arrives. Until then the
audio of the newest turn is collected, and START of another turn discards it.
"""

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
"""Seconds without audio after which a streaming voice counts as ended."""

FILE_TIMEOUT_S: Final = 40.0
"""Seconds to wait for a voice file; output-handler itself ends the turn after 30 s without one."""

STOP_TIMEOUT_S: Final = 1.0
"""Seconds to wait for STOP_ACK."""


@dataclass(slots=True)
class TurnResult:
    """Result of a turn. Times are seconds from the request."""

    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    sample_rate: int = 24_000
    first_text: float | None = None
    first_audio: float | None = None
    total: float | None = None
    turn: int | None = None
    stats: dict[str, object] = field(default_factory=dict)
    voice_follows: bool = False
    """Whether the voice comes after the text, as one file."""
    interrupted: bool = False
    """Whether the user stopped the turn."""
    silence: float | None = None
    """Seconds from STOP to STOP_ACK."""


@dataclass(frozen=True, slots=True)
class SayTimeouts:
    """Seconds to wait for audio: between chunks, and for a file."""

    idle: float = IDLE_TIMEOUT_S
    file: float = FILE_TIMEOUT_S


class TurnPlayback:
    """Receives audio from its creation on; only the turn `result.turn` is played."""

    def __init__(
        self, viewer: ClientConnection, result: TurnResult, began: float, voice: AudioSink | None
    ) -> None:
        self._viewer, self._result, self._began, self._voice = viewer, result, began, voice
        self._turn: int | None = None
        """Number of the turn whose audio arrives now."""
        self._start = 0
        """Number of STARTs so far.

        It distinguishes turns with the same number: one that was withdrawn and the fallback's.
        """
        self._played = 0
        self._listening = asyncio.create_task(self._listen())

    async def ended(self, timeouts: SayTimeouts) -> None:
        """Wait until the turn has ended, or no audio has arrived for too long."""
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
        """Stop our turn, and wait for STOP_ACK."""
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
        """Stop receiving and playing."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        if self._voice is not None:
            await self._voice.aclose()

    def pass_on(self) -> None:
        """Pass new audio of our turn to the player."""
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
        """Receive messages until our turn has ended."""
        async for message in self._viewer:
            # Ignore messages of newer versions.
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
            # The turn is withdrawn: the legacy pipeline may answer it, with another START.
            self._turn = None
            if self._voice is not None:
                self._voice.flush(self._start)
        elif turn == self._turn == self._result.turn:
            return self._over(frame)
        return False

    def _over(self, frame: dict[str, object]) -> bool:
        """Whether this message of our turn is its last."""
        if frame.get("action") == "END":
            self._result.voice_follows = frame.get("voiceFollows") is True
            return not self._result.voice_follows
        if frame.get("action") == "STOP_ACK" and self._voice is not None:
            self._voice.flush(self._start)
        return frame.get("action") == "STOP_ACK" or (
            frame.get("type") == "STATE" and frame.get("phase") == "IDLE"
        )
