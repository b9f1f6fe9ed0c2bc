"""The same waits as a turn's on a bare event loop, without any work.

What the machine's timers give at best.
"""

import asyncio
import time


async def bare_first_audio(sessions: int) -> list[float]:
    """100 ms to the first word, three more words of 20 ms, 50 ms of voice.

    Ten times in each session. ms.
    """
    times: list[float] = []

    async def session(number: int) -> None:
        await asyncio.sleep(number * 0.01)
        for _ in range(10):
            began = time.perf_counter()
            for due in (0.1, 0.12, 0.14, 0.16):
                await asyncio.sleep(began + due - time.perf_counter())
            await asyncio.sleep(0.05)
            times.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(session(number) for number in range(sessions)))
    return times
