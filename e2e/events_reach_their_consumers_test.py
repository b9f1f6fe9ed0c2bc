"""Events of turns reach long-term memory and analytics once, whatever is away for a while.

Redis dies and comes back, with all of its file or with less; workers, the engine and long-term
memory are killed; a reply is stopped after its `done`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from e2e import timeouts
from e2e.harness.clients import chat, get, watching
from e2e.harness.stack import FAKES, ROOT, Stack, running
from e2e.harness.store import Store

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

DELIVERED_S = 40.0
"""Seconds for an event to come through: restarts, pauses and takeovers included."""


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def store(store_folder: Path) -> Iterator[Store]:
    with Store(store_folder) as running_store:
        yield running_store


@pytest.fixture(scope="module")
def stack(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        **FAKES,
        "FAKE_WORDS": "6",
        "FAKE_WORD_S": "0.002",
        "FAKE_CHAR_MS": "40",
        "REDIS_URL": store.url,
        "CLAIM_AFTER_S": "1",
    }
    with running(tmp_path_factory.mktemp("events"), env, workers=True) as made:
        yield made


async def command(stack: Stack, *words: str) -> Any:
    """What a `vtuber` command prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "vtuber_cli",
        *words,
        "--json",
        "--url",
        stack.url,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def figures(stack: Stack, session: str) -> dict[str, Any]:
    found = await get(f"{stack.url}/analytics?session={session}")
    return dict(found["sessions"][0]) if "sessions" in found else {}


async def counted(stack: Stack, session: str, turns: int, interrupted: int | None = None) -> None:
    """Until analytics has counted so many turns; a new turn may have interrupted the one before."""
    async with asyncio.timeout(DELIVERED_S):
        while True:
            found = await figures(stack, session)
            if found.get("turns") == turns and interrupted in (None, found["interrupted"]):
                return
            await asyncio.sleep(0.1)


async def memories(store: Store, session: str) -> list[dict[str, Any]]:
    async with Redis.from_url(store.url, decode_responses=True) as redis:
        key = redis_names.user_memories(f"session:{session}")
        return [json.loads(str(row)) for row in await redis.zrange(key, 0, -1)]


async def remembered(
    store: Store, session: str, enough: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    async with asyncio.timeout(DELIVERED_S):
        while not enough(found := await memories(store, session)):
            await asyncio.sleep(0.1)
    return found


async def waiting(stack: Stack) -> int:
    found = await get(f"{stack.url}/events/backlog")
    return sum(each["waiting"] for each in found["outboxes"])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DELIVERED_S):
        while not await true():
            await asyncio.sleep(0.1)


async def say(stack: Stack, session: str, *contents: str) -> None:
    for content in contents:
        answer = await chat(stack.url, session, content)
        assert answer.events[-1] == "done"


async def test_a_turn_is_remembered_and_counted(stack: Stack, store: Store) -> None:
    await say(stack, "plain", "one", "two")
    await counted(stack, "plain", 2)
    found = await remembered(store, "plain", lambda rows: len(rows) == 2)
    assert [row["content"] for row in found] == ["one", "two"]
    assert all(row["metadata"]["reply"] for row in found)
    said = await command(stack, "analytics", "--session", "plain")
    assert said["turns"] == 2
    assert said["interrupted"] in (0, 1), "the second may have interrupted the first"
    assert said["first_audio_p95_ms"] > 0
    await until(lambda: _nothing_waits(stack))
    backlog = await command(stack, "events", "backlog")
    assert [each["ordinal"] for each in backlog["outboxes"]] == [0]
    assert {each["stream"]: each["dead"] for each in backlog["streams"]} == {
        "events.ltm": 0,
        "events.analytics": 0,
    }


async def _nothing_waits(stack: Stack) -> bool:
    found = await get(f"{stack.url}/events/backlog")
    return not any(each["waiting"] for each in found["outboxes"]) and not any(
        each["unread"] + each["pending"] for each in found["streams"]
    )


async def test_a_stop_after_done_replaces_the_reply_everywhere(stack: Stack, store: Store) -> None:
    async with watching(stack.ws, "cut") as viewer:
        answer = await chat(stack.url, "cut", "tell me more")
        assert answer.events[-1] == "done"
        await viewer.until(lambda v: v.seconds_of(answer.turn or 0) > 0.2)
        await viewer.send(type="CONTROL", action="STOP", sessionId="cut")
        await viewer.until(lambda v: v.of("CONTROL", "STOP_ACK"))
    await counted(stack, "cut", 1, interrupted=1)
    [memory] = await remembered(
        store, "cut", lambda rows: bool(rows) and rows[0]["metadata"]["interrupted"]
    )
    turns = (await get(f"{stack.url}/sessions/cut/turns"))["turns"]
    assert memory["metadata"]["reply"] == turns[0]["reply"]
    assert len(turns[0]["reply"]) < len(answer.text)


async def test_while_redis_is_away_talk_goes_on_and_the_backlog_is_seen(
    stack: Stack, store: Store
) -> None:
    store.kill()
    try:
        await say(stack, "away", "one", "two", "three")
        await until(lambda: _backlog_is_seen(stack, 6))
    finally:
        store.start()
    await counted(stack, "away", 3)
    await remembered(store, "away", lambda rows: len(rows) == 3)
    await until(lambda: _nothing_waits(stack))


async def _backlog_is_seen(stack: Stack, events: int) -> bool:
    found = await get(f"{stack.url}/events/backlog")
    [outbox] = found["outboxes"]
    return bool(outbox["waiting"] >= events and outbox.get("problem") and found.get("redis"))


async def test_what_redis_loses_is_sent_again(
    stack: Stack, store: Store, store_folder: Path
) -> None:
    """Its file is cut to what it was a moment before."""
    await say(stack, "lost", "one")
    await counted(stack, "lost", 1)
    # The file is flushed once a second.
    await asyncio.sleep(1.5)
    files = {path: path.read_bytes() for path in store_folder.rglob("*.aof")}
    analytics = stack.pid_of("analytics-worker")
    os.kill(analytics, signal.SIGSTOP)
    try:
        await say(stack, "lost", "two", "three")
        await until(lambda: _outbox_is_empty(stack))
        store.kill()
        for path, content in files.items():
            path.write_bytes(content)
    finally:
        store.start()
        os.kill(analytics, signal.SIGCONT)
    await counted(stack, "lost", 3)
    await remembered(store, "lost", lambda rows: len(rows) == 3)


async def _outbox_is_empty(stack: Stack) -> bool:
    return await waiting(stack) == 0


@pytest.mark.parametrize(
    "killed", ["analytics-worker", "ltm-worker", "long-term-memory", "dialog-engine"]
)
async def test_whoever_is_killed_no_event_is_lost_or_doubled(
    stack: Stack, store: Store, killed: str
) -> None:
    session = f"killed-{killed}"
    await say(stack, session, "one")
    os.kill(stack.pid_of(killed), signal.SIGKILL)
    done = 1
    async with asyncio.timeout(timeouts.SERVICE_RESTARTED * 2):
        while done < 4:
            try:
                answer = await chat(stack.url, session, f"message {done}")
            except OSError:
                await asyncio.sleep(0.2)
                continue
            done += answer.events[-1:] == ["done"]
    await counted(stack, session, 4)
    found = await remembered(store, session, lambda rows: len(rows) == 4)
    assert len({row["metadata"]["correlation_id"] for row in found}) == 4


async def test_what_cannot_be_applied_is_shown_and_tried_again(stack: Stack, store: Store) -> None:
    async with Redis.from_url(store.url, decode_responses=True) as redis:
        await redis.xadd(redis_names.EVENTS_ANALYTICS, {"payload": "no json"})
        await until(lambda: _dead(stack, 1))
        dead = await command(stack, "events", "dead")
        assert "JSON" in dead["events"][0]["reason"]
        receipt = await command(stack, "events", "replay", dead["events"][0]["id"])
        assert (receipt["parked"], receipt["dead"]) == (0, 1)
        await until(lambda: _dead(stack, 1))
        await redis.delete(redis_names.dead_events(redis_names.EVENTS_ANALYTICS))


async def _dead(stack: Stack, count: int) -> bool:
    found = await get(f"{stack.url}/events/dead")
    return len(found["events"]) == count


async def test_with_the_flag_off_there_are_no_events(stack: Stack, tmp_path: Path) -> None:
    env = {**FAKES, "ENABLE_STREAMS_OUTBOX": "false", "ENABLE_LTM": "false"}
    with running(tmp_path, env) as without:
        await say(without, "off", "one")
        assert await waiting(without) == 0
        async with Redis.from_url(without.redis, decode_responses=True) as redis:
            assert not await redis.exists(redis_names.EVENTS_LTM, redis_names.EVENTS_ANALYTICS)
            assert await redis.exists(redis_names.history("off"))
