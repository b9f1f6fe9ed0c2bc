"""A session as its engine and its viewers see it.

Frames go in by name, what viewers got comes out as a story.
"""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Final

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import (
    TO_OUTPUT,
    End,
    Heartbeat,
    SpeechChunk,
    Start,
    StopAck,
    StopResult,
    TextDelta,
)
from output_handler.playback.session import PlaybackSession

FLAGS: Final = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)


def now_ms() -> float:
    """The clock of a test: the event loop's, virtual under looptime."""
    return asyncio.get_running_loop().time() * 1000


@dataclass
class SessionDriver:
    """A session, and the frames that went back to its engine."""

    session: PlaybackSession
    to_engine: list[str] = field(default_factory=list)

    def send(self, frame: Start | SpeechChunk | TextDelta | End | StopAck) -> None:
        """A frame from the engine."""
        raw = frame.to_json()
        read = TO_OUTPUT.validate_json(raw)
        assert not isinstance(read, StopResult | Heartbeat)
        self.session.on_frame(read, raw)

    def start(
        self, turn: int = 1, *, epoch: int = 1, flags: FlagSet = FLAGS, ear_ms: int | None = None
    ) -> None:
        """START of a turn."""
        self.send(Start(session_id="live-001", turn=turn, epoch=epoch, flags=flags, ear_ms=ear_ms))

    def chunks(self, first: int, last: int, turn: int = 1) -> None:
        """Chunks of 40 ms, `first` to `last`."""
        pcm = base64.b64encode(bytes(1920)).decode()
        for seq in range(first, last + 1):
            self.send(
                SpeechChunk(
                    session_id="live-001", turn=turn, seq=seq, pcm=pcm, ts=1.0, offset_ms=seq * 40
                )
            )

    def text(self, content: str, at: int = 0, *, eos: bool = False, turn: int = 1) -> None:
        """A piece of the reply."""
        self.send(
            TextDelta(session_id="live-001", turn=turn, content=content, text_start=at, eos=eos)
        )

    def end(self, turn: int = 1, *, voice_follows: bool | None = None) -> None:
        """END."""
        self.send(End(session_id="live-001", turn=turn, voice_follows=voice_follows))

    def stop_ack(self, turn: int = 1, played: str | None = None) -> None:
        """STOP_ACK."""
        self.send(StopAck(session_id="live-001", turn=turn, heard_text=played))


def transcript_of(sent: list[str | bytes]) -> list[str]:
    """The frames in short.

    `START 1`, `STATE SPEAKING`, `CHUNK 0`, `TEXT 今晚`, `END 1`, `ERROR chunk_gap`.
    """
    message = []
    for raw in sent:
        frame = json.loads(raw)
        kind = frame.get("action") or frame.get("type") or frame["status"]
        detail = {
            "STATE": "phase",
            "SPEECH_CHUNK": "seq",
            "TEXT_DELTA": "content",
            "ERROR": "code",
            "success": "content",
            "error": "error",
        }.get(kind, "turn")
        name = {"SPEECH_CHUNK": "CHUNK", "TEXT_DELTA": "TEXT"}.get(kind, kind)
        message.append(f"{name} {frame.get(detail, '')}".strip())
    return message


async def new_frames(sent: list[str | bytes]) -> list[str]:
    """The story since the last time it was told."""
    for _ in range(10):
        await asyncio.sleep(0)
    found = transcript_of(sent)
    sent.clear()
    return found
