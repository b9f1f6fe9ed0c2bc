"""What the legacy chain costs, beside the main path: the reason for this project, in figures."""

import asyncio
import gc
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import ChatRequest, FlagSet, RequestMeta
from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, SseFrame, TextDeltaEvent, frame
from dialog_flags.flags import FixedFlags
from dialog_telemetry import log_config
from e2e.bench import figures
from e2e.bench.turns import Talk
from e2e.harness.flag_documents import known_everywhere, write
from e2e.harness.stack import FAKES, Stack, running
from input_handler.engine.guard import EngineGuard
from input_handler.legacy.client import LegacyClient
from input_handler.testing.legacy_pipeline import plenty
from input_handler.turns.turn_numbers import TurnNumber
from input_handler.turns.turn_service import TurnService

# The same model and voice on both paths: 100 ms to the first token, 20 ms a word, the voice begins
# after 50 ms.
TIMES = {
    **FAKES,
    "FAKE_FIRST_TOKEN_S": "0.1",
    "FAKE_WORD_S": "0.02",
    "FAKE_WORDS": "36",
    "FAKE_VOICE_S": "0.05",
    "FAKE_CHAR_MS": "20",
}
RUNS = 12


async def legacy_turn(data: Path) -> dict[str, float]:
    """One session, the same model and voice.

    Text in → first audio byte at a viewer, by the main path and by the legacy chain.
    """
    made: dict[str, float] = {}
    with running(data, TIMES, legacy=True) as stack:
        async with Redis.from_url(stack.redis, decode_responses=True) as redis:
            for path, flags in (
                ("main", FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)),
                ("legacy", FlagSet(ENABLE_SYNC_CORE=False)),
            ):
                revision = int(time.time() * 1000)
                await write(redis, revision, f"bench-{path}", flags)
                await known_everywhere(stack, revision)
                made |= figures.named(
                    f"first_audio_{path}_path", await _turns(stack, f"bench-{path}")
                )
    return made


async def _turns(stack: Stack, session: str) -> list[float]:
    talk = await Talk.open(stack.ws, session)
    times = []
    for number in range(RUNS + 3):
        took = await talk.first_audio_ms()
        if number >= 3:
            times.append(took)
        # Both paths speak for some four seconds; the next turn comes when it is quiet.
        await talk.drain(4.5)
    await talk.close()
    return times


async def fallback_detected(data: Path) -> dict[str, float]:
    """An engine that is not there: the engine's call → the turn is in the legacy chain's queue.

    Circuit closed, then open.
    """
    times: dict[str, list[float]] = {"fallback_queued": [], "fallback_queued_circuit_open": []}
    for name, failures in (("fallback_queued", "100"), ("fallback_queued_circuit_open", "1")):
        changes = [
            "input-handler.DIALOG_ENGINE_URL=http://127.0.0.1:9",
            f"input-handler.CIRCUIT_FAILURES={failures}",
        ]
        with running(
            data / name, FAKES, changes=[*changes, "input-handler.LEGACY_ENABLED=true"]
        ) as stack:
            async with _queue(stack) as taken, aiohttp.ClientSession() as http:
                for number in range(60):
                    session = f"fallback-{number}"
                    body = {
                        "sessionId": session,
                        "content": "hello",
                        "meta": {"requestId": str(uuid.uuid4())},
                    }
                    began = time.perf_counter()
                    asking = asyncio.create_task(http.post(f"{stack.url}/chat/stream", json=body))
                    await taken.get()
                    if number >= 10:
                        times[name].append((time.perf_counter() - began) * 1000)
                    (await asking).close()
    return {
        key: value
        for name, values in times.items()
        for key, value in figures.named(name, values).items()
    }


@asynccontextmanager
async def _queue(stack: Stack) -> AsyncIterator["asyncio.Queue[str]"]:
    """What arrives in `user_input_queue`, in memory's place."""
    taken: asyncio.Queue[str] = asyncio.Queue()
    async with Redis.from_url(stack.redis, decode_responses=True) as redis:

        async def take() -> None:
            while True:
                found = await redis.brpop([redis_names.USER_INPUT_QUEUE], timeout=0)
                assert found is not None
                taken.put_nowait(str(found[1]))

        taking = asyncio.create_task(take())
        try:
            yield taken
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


async def switch_cost(_: Path) -> dict[str, float]:
    """The switch itself.

    A turn through flags, number, circuit and the bookkeeping of both paths, with an engine that
    costs nothing.
    """
    times: list[float] = []
    # Log lines are written after a turn's first frame has gone on; here they would only time the
    # terminal.
    log_config.configure("bench", "WARNING")
    service = _turn_service()
    # As every service does at its start.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    for number in range(2_200):
        request = ChatRequest(
            session_id="bench", content="hello", meta=RequestMeta(request_id=f"r-{number}")
        )
        began = time.perf_counter()
        async for _frame in service.stream(request):
            continue
        took = (time.perf_counter() - began) * 1000
        if number >= 200:
            times.append(took)
    return figures.named("switch", times)


class _Events:
    def __init__(self) -> None:
        self._frames = iter(
            (
                frame(ControlEvent(action="ACCEPTED"), "1.0"),
                frame(TextDeltaEvent(content="hello"), "1.1"),
                frame(DoneEvent(stats=DoneStats()), "1.2"),
            )
        )

    async def next(self) -> SseFrame | None:
        return next(self._frames, None)

    def close(self) -> None:
        """There is nothing to close."""


class _Engine:
    async def call(self, request: ChatRequest, *_: object, **__: object) -> _Events:
        return _Events()


class _Numbers:
    async def allocate(self, session_id: str, request_id: str | None) -> TurnNumber:
        return TurnNumber(1)


def _turn_service() -> TurnService:
    sync = EngineGuard(_Engine(), accept_timeout_s=0.3, first_token_timeout_s=8)  # type: ignore[arg-type]
    legacy = LegacyClient(None, None, enabled=True, timeout_s=30)  # type: ignore[arg-type]
    return TurnService(sync, legacy, _Numbers(), FixedFlags(FlagSet()), plenty())  # type: ignore[arg-type]
