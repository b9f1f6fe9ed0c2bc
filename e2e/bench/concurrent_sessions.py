"""Many sessions at once in one engine process.

How long they wait for the first sound, and for silence after a STOP.
"""

import asyncio
import random
import time
from pathlib import Path

import psutil

from e2e.bench import figures
from e2e.bench.timer_baseline import bare_first_audio
from e2e.bench.turns import Talk, Unheard
from e2e.harness.stack import FAKES, Stack, running

REAL_TIMES = {
    **FAKES,
    "FAKE_FIRST_TOKEN_S": "0.1",
    "FAKE_WORD_S": "0.02",
    "FAKE_WORDS": "36",
    "FAKE_VOICE_S": "0.05",
}
SESSIONS = (1, 10, 25, 50)
UNHEARD_MAX = 5
ANSWERS = 48
"""At least so many turns are measured at each number of sessions, half of them stopped."""


async def many_sessions(data: Path) -> dict[str, float]:
    """Whole chain, LLM 100 ms + 20 ms a word, voice 50 ms; 1, 10, 25 and 50 sessions.

    First audio, STOP to last chunk, CPU, memory.
    """
    found: dict[str, float] = {}
    with running(data, REAL_TIMES) as stack:
        await _crowd(stack, 3, 2, [], [])
        for sessions in SESSIONS:
            heard: list[float] = []
            stopped: list[float] = []
            before, began = _cpu(stack), time.monotonic()
            unheard = await _crowd(stack, sessions, max(4, -(-ANSWERS // sessions)), heard, stopped)
            wall, name = time.monotonic() - began, f"n{sessions}"
            found[f"{name}_unheard"] = unheard
            found |= figures.named(f"first_audio_{name}", heard) | figures.named(
                f"stop_{name}", stopped
            )
            for service, used in _cpu(stack).items():
                found[f"{name}_cpu_{service}_share"] = round((used - before[service]) / wall, 3)
            found[f"{name}_engine_rss_mb"] = round(
                psutil.Process(stack.pids["dialog-engine"]).memory_info().rss / 1e6, 1
            )
            floor = figures.named(f"first_audio_{name}", await bare_first_audio(sessions))
            found |= {f"floor_{figure}": value for figure, value in floor.items()}
    return found


def _cpu(stack: Stack) -> dict[str, float]:
    """Seconds of CPU so far, by service."""
    times = {
        name.replace("-", "_"): psutil.Process(pid).cpu_times() for name, pid in stack.pids.items()
    }
    return {name: used.user + used.system for name, used in times.items()}


async def _crowd(
    stack: Stack, sessions: int, turns: int, heard: list[float], stopped: list[float]
) -> int:
    """How many turns were not heard.

    A machine that stands still makes a viewer slow, and its turn goes on in captions.
    """
    unheard: list[str] = []

    async def session(number: int) -> None:
        rng = random.Random(number)
        talk = await Talk.open(stack.ws, f"crowd-{sessions}-{number}")
        await talk.drain(rng.uniform(0.2, 2.2))
        for turn in range(turns + 1):
            try:
                took = await talk.first_audio_ms()
            except Unheard as error:
                unheard.append(str(error))
                if len(unheard) > UNHEARD_MAX:
                    raise
                continue
            if turn:
                heard.append(took)
            # Somebody speaks again every 1.5 to 2.5 s, which is often; half of the replies are cut
            # off on the way.
            await talk.drain(rng.uniform(0.5, 1.5))
            if turn % 2:
                stopped.append(await talk.stop_ms())
            await talk.drain(1.0)
        await talk.close()

    await asyncio.gather(*(session(number) for number in range(sessions)))
    return len(unheard)
