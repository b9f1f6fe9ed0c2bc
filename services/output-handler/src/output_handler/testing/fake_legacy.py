"""The legacy chain as an output-handler meets it: answers and voice files, without Redis."""

import asyncio
import io
import wave
from collections.abc import Sequence

from dialog_contracts import limits
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import (
    AudioBlob,
    ChainMeta,
    MouthCue,
    ResponseMetadata,
    TaskResponse,
)
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.blob_store import BlobStore
from dialog_redis.client import RedisUnavailable
from dialog_redis.legacy.responses import LegacyResponses
from output_handler.legacy.response_source import ResponseSource
from service_runtime.aio.background_tasks import BackgroundTasks


def wav(ms: int, *, rate: int = limits.SAMPLE_RATE, channels: int = 1) -> bytes:
    """A voice file: a sawtooth, so that every place sounds different."""
    pcm = b"".join((n % 30_000).to_bytes(2, "little") for n in range(rate * ms * channels // 1000))
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return held.getvalue()


def response(
    turn: int | None,
    text: str = "今晚玩解谜",
    *,
    blob: str | None = None,
    mouth: Sequence[MouthCue] = (),
    flags: FlagSet | None = None,
    error: str | None = None,
    code: str | None = None,
    of_engine: bool = False,
    session_id: str = "live-001",
    request_id: str | None = None,
) -> TaskResponse:
    """An answer to a turn; `of_engine`: only its voice comes from the chain."""
    return TaskResponse(
        message_id=f"{session_id}#{turn}" if turn is not None else "from an older producer",
        task_id=session_id,
        status="success" if error is None else "error",
        text=text if error is None else "",
        audio=AudioBlob(id=blob, format="wav") if blob is not None else None,
        mouth=list(mouth),
        user_text="今晚玩什么？",
        error=error,
        metadata=ResponseMetadata(code=code),
        meta=ChainMeta(
            from_channel="dialog_engine" if of_engine else "input_handler",
            session_id=session_id,
            turn=turn,
            request_id=request_id,
            flags=flags,
            reason=None if of_engine or turn is None else "not_reached",
        ),
    )


class InMemoryResponses(LegacyResponses):
    """Answers whose `heard` is a set of this process."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.down = False

    async def mark_delivered(self, response: TaskResponse) -> None:
        """As Redis would note it."""
        await self._reach()
        self.delivered.append(response.message_id)

    async def delivered_ids(self, task_id: str) -> set[str]:
        """All of them."""
        await self._reach()
        return set(self.delivered)

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise RedisUnavailable("answers", "ConnectionError")


class InMemoryBlobs(BlobStore):
    """Blobs by number."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.down = False

    async def put(self, data: bytes, blob_id: str | None = None) -> str:
        """Kept for ever."""
        name = blob_id or f"{len(self.files):032x}"
        self.files[name] = data
        return name

    async def get(self, blob_id: str) -> bytes | None:
        """After a moment, or not at all."""
        await asyncio.sleep(0.001)
        if self.down:
            raise RedisUnavailable("blob", "ConnectionError")
        return self.files.get(blob_id)


class RecordedPlayback(ActivePlayback):
    """What was told of turns that a file speaks, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    async def started(self, session_id: str, turn: int) -> None:
        """Told."""
        self.events.append(("begins", turn))

    async def finished(self, session_id: str, turn: int) -> None:
        """Told."""
        self.events.append(("over", turn))


class FakeLegacyPipeline:
    """A mailroom and what was put into it."""

    def __init__(self, voice_within_s: float = 30.0) -> None:
        self.responses, self.blobs, self.tasks = (
            InMemoryResponses(),
            InMemoryBlobs(),
            BackgroundTasks(),
        )
        self.active_playback = RecordedPlayback()
        self.source = ResponseSource(
            self.responses, self.blobs, self.tasks, voice_within_s, self.active_playback
        )

    async def voice(self, ms: int) -> str:
        """A voice file of this length; gives its id."""
        return await self.blobs.put(wav(ms))
