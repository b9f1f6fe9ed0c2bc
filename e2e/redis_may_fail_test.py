"""Valkey down at the start or in the middle of a turn.

Conversations go on, history says that it is away, and comes back.
"""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from e2e import timeouts
from e2e.harness.clients import chat, get, watching
from e2e.harness.stack import FAKES, Stack, running
from e2e.harness.store import Store

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Down until a test starts it."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def stack(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Started while the store is down."""
    env = {**FAKES, "FAKE_WORD_S": "0.01", "FAKE_CHAR_MS": "5", "REDIS_URL": store.url}
    with running(tmp_path_factory.mktemp("without"), env) as made:
        assert "valkey" not in made.pids
        yield made


async def history_turns(url: str, session: str) -> list[int]:
    answer = await get(f"{url}/sessions/{session}/turns")
    return [entry["turn"] for entry in answer.get("turns", [])]


async def test_turns_are_answered_and_numbered_without_it(stack: Stack, store: Store) -> None:
    async with watching(stack.ws, "r") as viewer:
        first = await chat(stack.url, "r", "one")
        assert (first.turn, first.events[-1]) == (1, "done")
        second = await chat(stack.url, "r", "two")
        assert (second.turn, second.events[-1]) == (2, "done")
        assert (await get(f"{stack.url}/sessions/r/turns"))["code"] == "history_unavailable"
        assert (await get(stack.service("dialog-engine") + "/readyz"))["details"]["redis"] != "ok"
        # It comes: the next turn goes on counting, and all that was said appears.
        with store:
            await asyncio.sleep(timeouts.REDIS_LOOKED_FOR_AGAIN)
            third = await chat(stack.url, "r", "three")
            assert third.turn == 3
            async with asyncio.timeout(timeouts.REDIS_NOTICED):
                while await history_turns(stack.url, "r") != [1, 2, 3]:
                    await asyncio.sleep(0.05)
            # It dies in the middle of a turn.
            asking = asyncio.create_task(chat(stack.url, "r", "four"))
            await asyncio.sleep(0.15)
            os.kill(store.pid, signal.SIGKILL)
            fourth = await asking
            assert (fourth.turn, fourth.events[-1], len(fourth.text.split())) == (4, "done", 36)
        fifth = await chat(stack.url, "r", "five")
        assert (fifth.turn, fifth.events[-1]) == (5, "done")
        await viewer.until(lambda v: [f for f in v.of("CONTROL", "END") if f["turn"] == 5])


async def test_a_store_that_hangs_costs_a_moment_and_not_the_turn(
    stack: Stack, store: Store
) -> None:
    with store:
        await asyncio.sleep(timeouts.REDIS_LOOKED_FOR_AGAIN)
        assert (await chat(stack.url, "h", "one")).turn == 1
        os.kill(store.pid, signal.SIGSTOP)
        try:
            answers = [await chat(stack.url, "h", f"number {n}") for n in range(2, 5)]
        finally:
            os.kill(store.pid, signal.SIGCONT)
        assert [answer.turn for answer in answers] == [2, 3, 4]
        assert {answer.events[-1] for answer in answers} == {"done"}
