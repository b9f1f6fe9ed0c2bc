"""What is measured. Each scenario starts its own processes and gives flat figures."""

import asyncio
import time
import uuid
from pathlib import Path

import aiohttp
import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from e2e.bench import baseline, figures
from e2e.bench.audience import audience
from e2e.bench.cancel import cancelled
from e2e.bench.concurrent_sessions import many_sessions
from e2e.bench.turns import Talk
from e2e.harness import standalone_engine
from e2e.harness.stack import FAKES, Stack, running

# A short voice, so that each measured turn meets a quiet system and interrupts nobody.
INSTANT = {**FAKES, "FAKE_WORDS": "6", "FAKE_CHAR_MS": "4"}
WARM_UP = 30


async def engine_overhead(data: Path) -> dict[str, float]:
    """Engine alone: request to first chunk on the internal socket, instant mocks."""
    runs = 120
    times: list[float] = []
    async with standalone_engine.running(data, INSTANT) as engine:
        caller = await standalone_engine.RawCaller.open(engine.url)
        await engine.subscribe("bench")
        for number in range(1, runs + WARM_UP + 1):
            began = time.perf_counter()
            caller.send(standalone_engine.body("bench", number))
            while '"SPEECH_CHUNK"' not in await engine.frames.get():
                continue
            if number > WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
            assert b"event: done" in await caller.finish()
            await asyncio.sleep(0.4)
            while not engine.frames.empty():
                engine.frames.get_nowait()
        caller.close()
    return figures.named("engine_overhead", times) | _floor(
        figures.named("engine_overhead", await baseline.measure(1, runs))
    )


async def viewer_overhead(data: Path) -> dict[str, float]:
    """Whole chain: text in at the gateway to first audio byte at a viewer, instant mocks."""
    runs = 120
    with running(data, INSTANT) as stack:
        times = await _one_after_the_other(stack, runs, pause_s=0.5)
    return figures.named("viewer_overhead", times) | _floor(
        figures.named("viewer_overhead", await baseline.measure(4, runs))
    )


async def memory(data: Path) -> dict[str, float]:
    """What a further session costs the engine, and a further viewer output-handler, in kB of resident memory."""
    count = 200
    with running(data, {**INSTANT, "FAKE_CHAR_MS": "20"}) as stack:
        await _one_after_the_other(stack, 20, pause_s=0.05)
        engine, output = (
            psutil.Process(stack.pids["dialog-engine"]),
            psutil.Process(stack.pids["output-handler"]),
        )
        before = engine.memory_info().rss
        async with aiohttp.ClientSession() as http:
            for number in range(count):
                body = {
                    "sessionId": f"memory-{number}",
                    "content": "hello there",
                    "meta": {"requestId": str(uuid.uuid4())},
                }
                async with http.post(f"{stack.url}/chat/stream", json=body) as answer:
                    await answer.read()
        per_session = (engine.memory_info().rss - before) / count / 1024
        before = output.memory_info().rss
        viewers = [
            await connect(
                f"{stack.ws}/ws/output/crowd",
                subprotocols=[Subprotocol("vtuber.v2.bin")],
                compression=None,
                proxy=None,
            )
            for _ in range(count)
        ]
        await asyncio.sleep(1)
        per_viewer = (output.memory_info().rss - before) / count / 1024
        await asyncio.gather(*(viewer.close() for viewer in viewers))
    return {"kb_per_session": round(per_session, 1), "kb_per_viewer": round(per_viewer, 1)}


async def _one_after_the_other(stack: Stack, runs: int, *, pause_s: float) -> list[float]:
    talk = await Talk.open(stack.ws, f"one-{uuid.uuid4().hex[:8]}")
    await talk.drain(0.2)
    times = []
    for number in range(runs + (WARM_UP if runs >= 100 else 3)):
        times.append(await talk.first_audio_ms())
        await talk.drain(pause_s)
        assert number < 10_000
    await talk.close()
    return times[-runs:]


def _floor(measured: dict[str, float]) -> dict[str, float]:
    return {f"floor_{name}": value for name, value in measured.items()}


ALL = (engine_overhead, viewer_overhead, many_sessions, audience, memory, cancelled)
SHORT = (engine_overhead, viewer_overhead)
"""A minute each, and of a few milliseconds: what disturbs the machine shows in them first."""
