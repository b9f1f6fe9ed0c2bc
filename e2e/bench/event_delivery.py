"""Events: what a commit costs, how soon an event is in its stream, how fast a backlog drains.

Each figure stands beside the floor of the bare library in the same run: apsw with the same pragmas,
and redis-py with plain XADDs.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import apsw
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.stored_turn import StoredTurn
from dialog_redis.event_streams.publisher import EventPublisher
from e2e.bench import figures
from e2e.bench.turns import Talk
from e2e.harness.stack import FAKES, Stack, running
from e2e.harness.store import Store

COMMITS: Final = 400
BACKLOG_TURNS: Final = 5_000
EVENTS_A_TURN: Final = 2
TURNS: Final = 50
PAUSE_S: Final = 0.01


async def event_delivery(data: Path) -> dict[str, float]:
    """Commit of a turn with its events, commit to XADD, and the drain of 10 000 events."""
    data.mkdir(parents=True, exist_ok=True)
    with Store(data / "store") as store:
        file = database(data / "engine.db")
        await file.open()
        memory, outbox = ShortTermMemory(file), OutboxStore(file)
        publisher = EventPublisher(store.url)
        relay = OutboxRelay(outbox, publisher)
        running_relay = asyncio.create_task(relay.run())
        commits, deliveries = await _commits(memory, relay, store.url)
        running_relay.cancel()
        await asyncio.gather(running_relay, return_exceptions=True)
        rate = await _drain(memory, outbox, publisher)
        await publisher.aclose()
        await file.close()
        floor_rate = await _bare_xadd_rate(store.url)
    return {
        **figures.named("commit", commits),
        **figures.named("commit_to_xadd", deliveries),
        "outbox_drain_events_per_s": round(rate),
        "floor_outbox_drain_events_per_s": round(floor_rate),
        **{
            f"floor_{name}": value
            for name, value in figures.named("commit", _bare_commits(data / "bare.db")).items()
        },
    }


async def outbox_first_audio(data: Path) -> dict[str, float]:
    """First audio with ENABLE_STREAMS_OUTBOX on and off, in turns."""
    instant = {**FAKES, "FAKE_WORDS": "6", "FAKE_CHAR_MS": "4"}
    times: dict[str, list[float]] = {"true": [], "false": []}
    for part in range(2):
        for on in ("true", "false") if part % 2 else ("false", "true"):
            env = {**instant, "ENABLE_STREAMS_OUTBOX": on, "ENABLE_LTM": "false"}
            with running(data / f"{part}-{on}", env, workers=True) as stack:
                times[on] += await _first_audio(stack)
    ratio = figures.percentile(times["true"], 0.5) / figures.percentile(times["false"], 0.5)
    return {
        **figures.named("outbox_on_first_audio", times["true"]),
        **{
            f"floor_{name}": value
            for name, value in figures.named("outbox_on_first_audio", times["false"]).items()
        },
        "outbox_on_first_audio_ratio": round(ratio, 3),
    }


async def _commits(
    memory: ShortTermMemory, relay: OutboxRelay, url: str
) -> tuple[list[float], list[float]]:
    commits: list[float] = []
    committed: dict[int, float] = {}
    for number in range(1, COMMITS + 1):
        began = time.perf_counter()
        await memory.commit(_turn(number))
        commits.append((time.perf_counter() - began) * 1000)
        committed[number] = time.time() * 1000
        relay.wake()
        await asyncio.sleep(PAUSE_S)
    async with Redis.from_url(url, decode_responses=True) as redis, asyncio.timeout(60):
        while int(await redis.xlen(redis_names.EVENTS_LTM)) < COMMITS:
            await asyncio.sleep(0.05)
        rows = [str(name) for name, _ in await redis.xrange(redis_names.EVENTS_LTM) or ()]
    deliveries = [
        max(0.0, int(name.partition("-")[0]) - committed[number])
        for number, name in enumerate(rows, 1)
    ]
    return commits[50:], deliveries[50:]


async def _drain(memory: ShortTermMemory, outbox: OutboxStore, publisher: EventPublisher) -> float:
    """Events a second, from a backlog that an hour without Redis leaves."""
    for first in range(0, BACKLOG_TURNS, 100):
        await asyncio.gather(*(memory.commit(_turn(10_000 + first + each)) for each in range(100)))
    relay = OutboxRelay(outbox, publisher)
    began = time.perf_counter()
    left = await relay.drain(120)
    assert not left
    return BACKLOG_TURNS * EVENTS_A_TURN / (time.perf_counter() - began)


async def _bare_xadd_rate(url: str) -> float:
    fields = {"eventId": "e" * 36, "type": "LtmWriteRequested", "payload": "x" * 400}
    count = BACKLOG_TURNS * EVENTS_A_TURN
    async with Redis.from_url(url) as redis:
        began = time.perf_counter()
        for _ in range(count // 200):
            pipe = redis.pipeline(transaction=False)
            for _ in range(200):
                pipe.xadd("bare", fields)  # type: ignore[arg-type]
            await pipe.execute()
        return count / (time.perf_counter() - began)


def _bare_commits(path: Path) -> list[float]:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)")
    times = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        with db:
            for _ in range(4):
                db.execute("INSERT INTO t(text) VALUES(?)", ("x" * 300,))
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_S)
    db.close()
    return times[50:]


async def _first_audio(stack: Stack) -> list[float]:
    talk = await Talk.open(stack.ws, "outbox")
    await talk.drain(0.2)
    times = []
    for _ in range(TURNS + 10):
        times.append(await talk.first_audio_ms())
        await talk.drain(0.15)
    await talk.close()
    return times[10:]


def _turn(number: int) -> StoredTurn:
    return StoredTurn(
        f"bench-{number % 20}", number, "how are you today?", "fine " * 40, int(time.time()),
        events=True,
    )  # fmt: skip
