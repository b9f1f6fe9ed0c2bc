"""An engine without its server: real memory on disk, a scripted model and voice, no output-handler connected.

Tests name these classes only for mypy: pytest's import mode gives test modules no neighbours at run time.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from dialog_contracts.http import ChatRequest, TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.sse import DoneEvent, ErrorEvent, SseFrame, TextDeltaEvent
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.chat_service import ChatService
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.redis_store import ClaimState, EngineStore
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.settings import EngineSettings
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.session_models import SessionModels
from dialog_redis.client import RedisClient
from dialog_redis.event_streams.publisher import EventPublisher
from dialog_voice.registry import SessionVoices
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio, WordCue

FLAGS = {"SYNC_TTS_STREAMING": True, "SYNC_TTS_BARGE_IN": True}


class Brain:
    name = "scripted"

    def __init__(self, pieces: Sequence[str | Exception], gap_s: float) -> None:
        self.pieces, self.gap_s = list(pieces), gap_s
        self.prompts: list[list[Message]] = []
        self.open = 0

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        self.open += 1
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.gap_s)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class Voice:
    name = "scripted"

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        await asyncio.sleep(0)
        for number, _ in enumerate(text):
            yield VoiceAudio(
                b"\1\0" * (10 * BYTES_PER_MS), (), (WordCue(number * 20, number, number + 1),)
            )

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class InMemoryEngineStore:
    """In Redis's place; what Redis does is tested beside `redis_shelf`."""

    def __init__(self) -> None:
        self.claims = [ClaimState.ACQUIRED]
        """What is answered, one after another; the last for ever."""

        self.history: dict[str, dict[int, TurnRecord]] = {}
        self.resets: dict[str, int] = {}
        self.voices: list[TtsRequest] = []
        self.samples: list[TurnSample] = []

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        return self.claims.pop(0) if len(self.claims) > 1 else self.claims[0]

    async def publish_history(
        self, session_id: str, records: Sequence[TurnRecord], said: TurnRecord | None = None
    ) -> bool:
        self.history.setdefault(session_id, {}).update({record.turn: record for record in records})
        return True

    async def turns_since(self, session_id: str, turn: int) -> tuple[list[TurnRecord], int] | None:
        known = self.history.get(session_id, {})
        return [known[number] for number in sorted(known) if number > turn], self.resets.get(
            session_id, 0
        )

    async def expire_counters(self) -> None: ...

    async def playing_turn(self, session_id: str) -> int:
        return 0

    async def save_reset(self, session_id: str, turn: int) -> None:
        self.resets[session_id] = turn

    async def enqueue_voice_file(self, request: TtsRequest) -> bool:
        self.voices.append(request)
        return True

    async def append_sample(self, sample: TurnSample) -> None:
        self.samples.append(sample)


class Frames(list[SseFrame]):
    """What a caller got."""

    @property
    def names(self) -> list[str]:
        return [frame.event for frame in self]

    @property
    def text(self) -> str:
        return "".join(
            event.content for frame in self if isinstance(event := frame.parse(), TextDeltaEvent)
        )

    @property
    def done(self) -> DoneEvent:
        event = self[-1].parse()
        assert isinstance(event, DoneEvent)
        return event

    @property
    def error(self) -> ErrorEvent:
        event = self[-1].parse()
        assert isinstance(event, ErrorEvent)
        return event


class Engine:
    """Turns go in by `say`, or by `open` to go away in the middle."""

    def __init__(
        self,
        path: Path,
        brain: Brain,
        owner: SessionLeases | None = None,
        shelf: EngineStore | None = None,
        **settings: Any,
    ) -> None:
        self.brain, self.shelf = brain, InMemoryEngineStore()
        self.file = database(path / "engine.db")
        self.memory = ShortTermMemory(self.file)
        made = EngineSettings(output_ingest_urls=(), **settings)
        brains, voices = (
            SessionModels(made, FlagDocuments(), brain),
            SessionVoices(made, FlagDocuments(), Voice()),
        )
        self.owner = owner or SessionLeases(cast(RedisClient, None), ordinal=0, shared=False)
        self.relay = OutboxRelay(OutboxStore(self.file), cast(EventPublisher, None))
        self.service = ChatService(
            made,
            self.memory,
            brains,
            voices,
            shelf or cast(EngineStore, self.shelf),
            self.owner,
            self.relay,
        )

    def open(
        self,
        turn: int,
        content: str = "hi",
        *,
        session: str = "s",
        request_id: str | None = None,
        **more: Any,
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[SseFrame]]]:
        after = more.pop("after", None)
        meta = {"requestId": request_id, "flags": more.pop("flags", FLAGS), **more.pop("meta", {})}
        asked = {"sessionId": session, "turn": turn, "content": content, "meta": meta, **more}
        return self.service.open(ChatRequest.model_validate(asked), after, None)

    async def say(self, turn: int, content: str = "hi", **more: Any) -> Frames:
        async with self.open(turn, content, **more) as batches:
            return Frames([frame async for batch in batches for frame in batch])


Opens = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def engine(tmp_path: Path) -> Opens:
    """An engine, over and over on the same disk.

    Its model says `pieces`, with `gap_s` before each.
    """

    @asynccontextmanager
    async def opened(
        pieces: Sequence[str | Exception] = ("Hello ", "there, ", "friend."),
        *,
        gap_s: float = 0.0,
        **settings: Any,
    ) -> AsyncIterator[Engine]:
        made = Engine(tmp_path, Brain(pieces, gap_s), **settings)
        await made.file.open()
        try:
            yield made
        finally:
            await made.service.close()
            await made.file.close()
            assert made.brain.open == 0

    return opened


@pytest.fixture
async def pair(tmp_path: Path, link: RedisClient) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two engines with a real Redis between them; the first of them speaks a long reply."""
    engines = []
    for ordinal, pieces in enumerate((["word "] * 60, ["Hello."])):
        folder = tmp_path / str(ordinal)
        folder.mkdir()
        owner = SessionLeases(link, ordinal=ordinal)
        engines.append(Engine(folder, Brain(pieces, 0.0), owner, EngineStore(link)))
        await engines[-1].file.open()
    yield engines[0], engines[1]
    for engine in engines:
        await engine.service.close()
        await engine.file.close()
