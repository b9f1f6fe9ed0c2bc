"""tts with a scripted voice, and what Redis holds after it.

Tests name these classes only for mypy: pytest's import mode gives test modules no neighbours at run time.
"""

import asyncio
import io
import json
import time
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_flags.flag_documents import FlagDocuments
from dialog_redis.blob_store import BlobStore
from dialog_voice.errors import ProviderError
from dialog_voice.registry import SessionVoices
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio
from tts import worker as module
from tts.settings import TtsSettings
from tts.worker import TtsWorker

Worked = Callable[..., Awaitable[None]]


class Voice:
    """Every passage takes 100 ms. `fails_at` and `hangs_at` are numbers of passages, from 0."""

    name = "scripted"

    def __init__(self) -> None:
        self.fails_at: int | None = None
        self.fails_with: Exception = ProviderError("scripted", "connection", "nobody there")
        self.hangs_at: int | None = None
        self.said: list[tuple[str, str]] = []
        self.open = 0

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        passage = len({said for said, _ in self.said} | {text}) - 1
        self.said.append((text, lang))
        self.open += 1
        try:
            if self.fails_at is not None and passage >= self.fails_at:
                raise self.fails_with
            if passage == self.hangs_at:
                await asyncio.sleep(3600)
            yield VoiceAudio(
                b"\1\0" * (50 * BYTES_PER_MS),
                (VisemeCue(0, {"aa": 1.0}), VisemeCue(60, {"sil": 1.0})),
            )
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class House:
    """The work of tts on its list, without its server."""

    LIST: Final = redis_names.TTS_REQUESTS
    REPLY: Final = "今晚玩解谜。你来吗？"
    """Two passages."""
    REPLY_MS: Final = 100 + 160 + 100

    def __init__(self, url: str, redis: "Redis", worked: Worked, blobs: BlobStore) -> None:
        self.url, self.redis, self._worked, self.blobs = url, redis, worked, blobs
        self.voice = Voice()
        self.within_s = 2.0

    @property
    def speaker(self) -> TtsWorker:
        return TtsWorker(
            SessionVoices(TtsSettings(), FlagDocuments(), self.voice),
            self.blobs,
            within_s=self.within_s,
        )

    def request(
        self,
        text: str = REPLY,
        turn: int | None = 3,
        *,
        channel: str = "task_response:live-001",
        **meta: Any,
    ) -> TtsRequest:
        known = ChainMeta(
            session_id="live-001",
            turn=turn,
            **{"reason": "cut", "received_at": time.time() - 1.5, **meta},
        )
        return TtsRequest(
            message_id=f"live-001#{turn}" if turn else "m-1",
            task_id="live-001",
            text=text,
            response_channel=channel,
            user_text="今晚玩什么？",
            meta=known,
        )

    async def asked(self, *requests: TtsRequest | str | bytes) -> None:
        """These go through the list; what cannot be read too."""
        raws = [one.to_json() if isinstance(one, TtsRequest) else one for one in requests]
        await self._worked(self.LIST, self.speaker.handle, self.speaker.on_exhausted, *raws)
        assert self.voice.open == 0

    async def answers(self, task: str = "live-001") -> list[TaskResponse]:
        return [
            TaskResponse.from_json(raw)
            for raw in await self.redis.hvals(redis_names.responses(task))
        ]

    async def answer(self) -> TaskResponse:
        (one,) = await self.answers()
        return one

    async def samples(self) -> list[TurnSample]:
        rows = cast(
            "list[tuple[str, dict[str, str]]]", await self.redis.xrange(redis_names.TURN_SAMPLES)
        )
        return [TurnSample.from_json(row["sample"]) for _, row in rows]

    async def sound(self, answer: TaskResponse) -> tuple[int, bytes]:
        """The answer's file: its length in ms and its samples."""
        assert answer.audio is not None
        data = await self.blobs.get(answer.audio.id)
        assert data is not None
        with wave.open(io.BytesIO(data), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
            return file.getnframes() // 24, file.readframes(file.getnframes())

    @asynccontextmanager
    async def listening(self, *channels: str) -> AsyncIterator[list[tuple[str, Any]]]:
        """What is announced inside the block; there when it ends."""
        heard: list[tuple[str, Any]] = []
        async with self.redis.pubsub() as listener:
            await listener.subscribe(*channels, "end")
            yield heard
            await self.redis.publish("end", "{}")
            async with asyncio.timeout(2):
                while not heard or heard[-1][0] != "end":
                    message = await listener.get_message(
                        ignore_subscribe_messages=True, timeout=0.1
                    )
                    if message is not None:
                        heard.append((message["channel"], json.loads(message["data"])))
            heard.pop()


@pytest.fixture
async def house(
    url: str, redis: "Redis", worked: Worked, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "RETRY_PAUSE_S", 0.02)
    blobs = BlobStore(url)
    yield House(url, redis, worked, blobs)
    await blobs.aclose()
