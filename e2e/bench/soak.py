"""Ten minutes of talk: does anything grow, and does a long speech ever run dry at a viewer with a bad network? `make soak`."""

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

import aiohttp
import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from dialog_contracts.binary import HEADER, MAGIC
from e2e.bench.turns import Talk
from e2e.harness.stack import FAKES, Stack, running

SESSIONS = 10
"""People who talk, cut in and come back, beside the long speech."""

WARM_S = 60.0
"""Until then caches and pools fill; growth counts from here on."""

EVERY_S = 5.0
JITTER_MS = 50.0
DEVICE_MS = 60.0
"""What a viewer adds to `startedAt`, as the page does."""

CHAR_MS = 60


@dataclass
class Listener:
    """A viewer whose network delays every chunk by up to 50 ms. A chunk that comes after its moment has run it dry."""

    started_at: float = 0.0
    clock: float = 0.0
    audio_ms: float = 0.0
    dry: int = 0
    least_ms: float = 1e9
    chance: random.Random = field(default_factory=lambda: random.Random(50))

    def frame(self, frame: dict[str, object], now_ms: float) -> None:
        """A JSON frame of /ws/output. The first STATE of a speech tells both clocks; all processes here have one."""
        if frame.get("type") == "STATE" and frame.get("startedAt") is not None:
            self.started_at = float(str(frame["startedAt"]))

    def chunk(self, offset_ms: float, duration_ms: float, now_ms: float) -> None:
        """A chunk came off the wire; the network of this viewer has it a little longer."""
        spare = self.started_at + offset_ms + DEVICE_MS - (now_ms + self.chance.uniform(0, JITTER_MS))
        self.least_ms = min(self.least_ms, spare)
        self.dry += spare < 0
        self.audio_ms = max(self.audio_ms, offset_ms + duration_ms)


async def soak(data: Path, minutes: float = 10.0) -> dict[str, float]:
    """Memory and tasks of every service over time while ten people talk and cut in; a speech as long as that, with 50 ms of jitter."""
    words = round(minutes * 60_000 / CHAR_MS / 5.2)
    env = {**FAKES, "FAKE_FIRST_TOKEN_S": "0.1", "FAKE_WORD_S": "0.02", "FAKE_VOICE_S": "0.05", "FAKE_CHAR_MS": str(CHAR_MS)}
    seen: dict[str, list[tuple[float, float, float]]] = {}
    with running(data, {**env, "FAKE_WORDS": str(words), "LLM_MAX_TOKENS": "8000"}) as stack:
        listener = Listener()
        until = time.monotonic() + minutes * 60
        people = [asyncio.create_task(_person(stack, number, until)) for number in range(SESSIONS)]
        speech = asyncio.create_task(_speech(stack, listener, until))
        while time.monotonic() < until:
            await asyncio.sleep(EVERY_S)
            for service, pid in stack.pids.items():
                rss = psutil.Process(pid).memory_info().rss / 1000
                seen.setdefault(service, []).append((time.monotonic(), rss, await _tasks(stack, service)))
        turns = sum(await asyncio.gather(*people))
        speech.cancel()
        await asyncio.gather(speech, return_exceptions=True)
    found = {
        "soak_minutes": minutes,
        "soak_turns": float(turns),
        "soak_speech_s": round(listener.audio_ms / 1000, 1),
        "soak_underruns": float(listener.dry),
        "soak_least_spare_ms": round(listener.least_ms, 1),
    }
    for service, samples in seen.items():
        late = [sample for sample in samples if sample[0] - samples[0][0] >= min(WARM_S, minutes * 20)]
        slope, _ = linear_regression([at / 60 for at, _, _ in late], [rss for _, rss, _ in late])
        name = service.replace("-", "_")
        found |= {f"soak_{name}_kb_per_minute": round(slope, 1), f"soak_{name}_rss_mb": round(late[-1][1] / 1000, 1)}
        if late[-1][2] >= 0:
            found |= {f"soak_{name}_tasks_first": late[0][2], f"soak_{name}_tasks_last": late[-1][2]}
    return found


async def _person(stack: Stack, number: int, until: float) -> int:
    chance, turns = random.Random(number), 0
    talk = await Talk.open(stack.ws, f"soak-{number}")
    while time.monotonic() < until:
        await talk.first_audio_ms()
        turns += 1
        await talk.drain(chance.uniform(1, 4))
        # Replies are as long as the test: each is cut off, half of them by the next message.
        if chance.random() < 0.5:
            await talk.stop_ms()
            await talk.drain(chance.uniform(0.1, 2))
    await talk.close()
    return turns


async def _speech(stack: Stack, listener: Listener, until: float) -> None:
    async with connect(
        f"{stack.ws}/ws/output/speech", subprotocols=[Subprotocol("vtuber.v2.bin")], compression=None, proxy=None
    ) as socket:
        await asyncio.sleep(0.2)
        async with aiohttp.ClientSession() as http:
            asking = asyncio.create_task(_ask(http, stack.url))
            async for message in socket:
                # What output-handler calls its clock; on one machine it is ours too.
                now = time.monotonic() * 1000
                if isinstance(message, str):
                    listener.frame(json.loads(message), now)
                elif message[:2] == MAGIC:
                    header = HEADER.unpack_from(message)
                    listener.chunk(header[5], header[6], now)
                if time.monotonic() > until:
                    break
            await asking


async def _ask(http: aiohttp.ClientSession, url: str) -> None:
    body = {"sessionId": "speech", "content": "Tell me everything.", "meta": {"lang": "en"}}
    async with http.post(f"{url}/chat/stream", json=body, timeout=aiohttp.ClientTimeout(total=None)) as answer:
        async for _ in answer.content:
            continue


async def _tasks(stack: Stack, service: str) -> float:
    """-1: a process without `/metrics` (Valkey)."""
    if service not in stack.ports:
        return -1.0
    url = stack.url if service == "gateway" else stack.service(service)
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        counted = re.search(r"^dialog_tasks (\S+)", await answer.text(), re.MULTILINE)
    return float(counted[1]) if counted else -1.0
