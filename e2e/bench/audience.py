"""Thousands watch one session.

How many viewers one core of output-handler serves, and how far apart they hear the same chunk.
"""

import asyncio
import json
import time
from collections import defaultdict
from pathlib import Path

import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from dialog_contracts.binary import HEADER, MAGIC
from e2e.bench import figures
from e2e.bench.turns import Talk
from e2e.harness.stack import FAKES, running

VIEWERS = 200
LISTEN_S = 8.0
TALKATIVE = {**FAKES, "FAKE_WORDS": "36", "FAKE_CHAR_MS": "60"}


async def audience(data: Path) -> dict[str, float]:
    """200 viewers of one session, binary and JSON.

    Viewers that one core serves at 25 chunks/s, and the skew between them.
    """
    found: dict[str, float] = {}
    for kind, protocol in (("binary", "vtuber.v2.bin"), ("json", "vtuber.v2")):
        with running(data / kind, TALKATIVE) as stack:
            # Straight to output-handler: a gateway in between is another process's core.
            ws = stack.service("output-handler").replace("http", "ws")
            heard: dict[int, list[float]] = defaultdict(list)
            viewers = [asyncio.create_task(_view(ws, protocol, heard)) for _ in range(VIEWERS)]
            await asyncio.sleep(1)
            talk = await Talk.open(stack.ws, "crowd")
            await talk.first_audio_ms()
            output = psutil.Process(stack.pids["output-handler"])
            before, began = output.cpu_times(), time.monotonic()
            await talk.drain(LISTEN_S)
            now = output.cpu_times()
            share = (now.user + now.system - before.user - before.system) / (
                time.monotonic() - began
            )
            for viewer in viewers:
                viewer.cancel()
            await asyncio.gather(*viewers, return_exceptions=True)
            await talk.close()
        spread = [
            (max(times) - min(times)) * 1000 for times in heard.values() if len(times) == VIEWERS
        ]
        found[f"viewers_per_core_{kind}"] = round((VIEWERS + 1) / share)
        found |= figures.named(f"viewer_skew_{kind}", spread)
    return found


async def _view(ws: str, protocol: str, heard: dict[int, list[float]]) -> None:
    url = f"{ws}/ws/output/crowd"
    async with connect(
        url, subprotocols=[Subprotocol(protocol)], compression=None, proxy=None
    ) as socket:
        async for message in socket:
            at = time.perf_counter()
            if isinstance(message, bytes):
                if message[:2] == MAGIC:
                    heard[HEADER.unpack_from(message)[4]].append(at)
            elif message.startswith('{"type":"SPEECH_CHUNK"'):
                heard[json.loads(message)["seq"]].append(at)
