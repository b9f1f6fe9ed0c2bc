"""Long talk: does anything grow, and does a long speech ever run dry at a viewer with a bad network?

Ten minutes of it are `make soak`; `make bench` has a short form, for underruns: in so short a time memory still settles.
"""

import asyncio
import json
import random
import time
from pathlib import Path
from statistics import linear_regression

import aiohttp
import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from dialog_contracts.binary import HEADER, MAGIC
from e2e.bench.listener import Listener
from e2e.bench.turns import Talk
from e2e.harness.clients import metric
from e2e.harness.stack import FAKES, Stack, running

SESSIONS = 10
"""People who talk, cut in and come back, beside the long speech."""

WARM_S = 60.0
"""Until then caches and pools fill; growth counts from here on."""

EVERY_S = 5.0
SHORT_MINUTES = 0.75
HEARD_WITHIN_S = 10.0
CHAR_MS = 60


async def soak(data: Path, minutes: float = 10.0) -> dict[str, float]:
    """Memory and tasks of every service over time while ten people talk and cut in.

    A speech as long as that, with 50 ms of jitter.
    """
    # A little longer than it is listened to: where it ends early, nobody would notice what is
    # missing.
    words = round(minutes * 60_000 / CHAR_MS / 5.0)
    env = {
        **FAKES,
        "FAKE_FIRST_TOKEN_S": "0.1",
        "FAKE_WORD_S": "0.02",
        "FAKE_VOICE_S": "0.05",
        "FAKE_CHAR_MS": str(CHAR_MS),
    }
    seen: dict[str, list[tuple[float, float, float]]] = {}
    wal, wal_bytes = data / "dialog-engine.db-wal", 0
    with running(data, {**env, "FAKE_WORDS": str(words), "LLM_MAX_TOKENS": "8000"}) as stack:
        listener = Listener()
        until = time.monotonic() + minutes * 60
        people = [asyncio.create_task(_person(stack, number, until)) for number in range(SESSIONS)]
        speech = asyncio.create_task(_speech(stack, listener, until))
        while time.monotonic() < until:
            await asyncio.sleep(EVERY_S)
            wal_bytes = max(wal_bytes, wal.stat().st_size if wal.exists() else 0)
            for service, pid in stack.pids.items():
                rss = psutil.Process(pid).memory_info().rss / 1000
                seen.setdefault(service, []).append(
                    (time.monotonic(), rss, await _tasks(stack, service))
                )
        said = await asyncio.gather(*people)
        speech.cancel()
        await asyncio.gather(speech, return_exceptions=True)
        listener.leave(until * 1000)
        voice_gaps = await metric(stack.service("dialog-engine"), "dialog_tts_underruns_total")
        chunk_gaps = await metric(stack.service("output-handler"), "dialog_chunk_gaps_total")
    found = {
        "soak_minutes": minutes,
        "soak_turns": float(sum(turns for turns, _ in said)),
        "soak_turns_unheard": float(sum(unheard for _, unheard in said)),
        "soak_engine_wal_mb": round(wal_bytes / 1e6, 2),
        "soak_speech_s": round(listener.audio_ms / 1000, 1),
        "soak_underruns": float(listener.underruns),
        "soak_least_spare_ms": round(listener.least_ms, 1),
        # Of all sessions, as the services themselves count them.
        "soak_voice_gaps": voice_gaps or 0.0,
        "soak_chunk_gaps": chunk_gaps or 0.0,
    }
    for service, samples in seen.items():
        late = [
            sample for sample in samples if sample[0] - samples[0][0] >= min(WARM_S, minutes * 20)
        ]
        slope, _ = linear_regression([at / 60 for at, _, _ in late], [rss for _, rss, _ in late])
        name = service.removeprefix("dialog-").replace("-", "_")
        found |= {
            f"soak_{name}_rss_kb_per_min": round(slope, 1),
            f"soak_{name}_rss_mb": round(late[-1][1] / 1000, 1),
        }
        if late[-1][2] >= 0:
            found |= {
                f"soak_{name}_tasks_first": late[0][2],
                f"soak_{name}_tasks_last": late[-1][2],
            }
    return found


async def soak_short(data: Path) -> dict[str, float]:
    """45 seconds of the soak.

    Ten people who talk and cut in, beside a speech that a viewer with 50 ms of jitter hears.
    """
    return await soak(data, SHORT_MINUTES)


async def _person(stack: Stack, number: int, until: float) -> tuple[int, int]:
    """Turns that were heard, and that were not.

    On a machine that is too busy the main path refuses some.
    """
    chance, turns, unheard = random.Random(number), 0, 0
    talk = await Talk.open(stack.ws, f"soak-{number}")
    while time.monotonic() < until:
        try:
            await asyncio.wait_for(talk.first_audio_ms(), HEARD_WITHIN_S)
        except TimeoutError:
            unheard += 1
            print(
                f"  soak-{number}: not heard within {HEARD_WITHIN_S:.0f} s; its speaker was told {[*talk.told]}",
                flush=True,
            )
            continue
        turns += 1
        await talk.drain(chance.uniform(1, 4))
        # Replies are as long as the test: each is cut off, half of them by the next message.
        if chance.random() < 0.5:
            await talk.stop_ms()
            await talk.drain(chance.uniform(0.1, 2))
    await talk.close()
    return turns, unheard


async def _speech(stack: Stack, listener: Listener, until: float) -> None:
    async with connect(
        f"{stack.ws}/ws/output/speech",
        subprotocols=[Subprotocol("vtuber.v2.bin")],
        compression=None,
        proxy=None,
    ) as socket:
        await asyncio.sleep(0.2)
        async with aiohttp.ClientSession() as http:
            asking = asyncio.create_task(_ask(http, stack.url))
            async for message in socket:
                if isinstance(message, str):
                    listener.frame(json.loads(message))
                elif message[:2] == MAGIC:
                    header = HEADER.unpack_from(message)
                    listener.chunk(header[5], header[6], time.monotonic() * 1000)
                if time.monotonic() > until:
                    break
            await asking


async def _ask(http: aiohttp.ClientSession, url: str) -> None:
    body = {"sessionId": "speech", "content": "Tell me everything.", "meta": {"lang": "en"}}
    async with http.post(
        f"{url}/chat/stream", json=body, timeout=aiohttp.ClientTimeout(total=None)
    ) as answer:
        async for _ in answer.content:
            continue


async def _tasks(stack: Stack, service: str) -> float:
    """-1: a process without `/metrics` (Valkey)."""
    counted = (
        await metric(stack.service(service), "dialog_asyncio_tasks")
        if service in stack.ports
        else None
    )
    return -1.0 if counted is None else counted
