"""A service is killed in the middle of a turn.

The caller gets one clear end, the next turn works, what was said is there.
"""

import asyncio
import os
import signal

import pytest

from e2e import timeouts
from e2e.harness.clients import Answer, chat, get, watching
from e2e.harness.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def stack(fake_models: Stack) -> Stack:
    """Each service dies once, which the runner forgives."""
    return fake_models


async def answered(stack: Stack, session: str, content: str) -> Answer:
    """The first whole answer after a crash."""
    async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
        while True:
            try:
                answer = await chat(stack.url, session, content)
                if answer.events and answer.events[-1] == "done":
                    return answer
            except OSError:
                pass
            await asyncio.sleep(0.2)


async def test_the_engine_is_killed(stack: Stack) -> None:
    await chat(stack.url, "k", "one")
    async with watching(stack.ws, "k") as viewer:
        asking = asyncio.create_task(chat(stack.url, "k", "two", request_id="r2"))
        await viewer.until(lambda v: len(v.of("TEXT_DELTA")) > 3)
        os.kill(stack.pid_of("dialog-engine"), signal.SIGKILL)
        broken = await asking
    assert broken.events[-1] == "error"
    assert broken.events.count("error") == 1
    assert '"engine_lost"' in broken.frames[-1].data
    again = await answered(stack, "k", "three")
    # Nothing was committed of it, so there is no rest: joining a second reply to the first half
    # would be a lie.
    last_id = next(frame.id for frame in reversed(broken.frames) if frame.id is not None)
    resumed = await chat(
        stack.url, "k", "two", request_id="r2", turn=broken.turn, headers={"Last-Event-ID": last_id}
    )
    assert (resumed.status, resumed.body["code"]) == (409, "turn_lost")
    assert len(again.text.split()) == 36
    turns = (await get(f"{stack.url}/sessions/k/turns"))["turns"]
    assert turns[0]["user"] == "one"
    assert turns[0]["reply"]
    assert turns[-1]["user"] == "three"


async def test_an_engine_that_stands_still_for_a_moment_loses_no_turn(stack: Stack) -> None:
    """Nobody else would answer: it is asked again before a person is told to."""
    os.kill(stack.pid_of("dialog-engine"), signal.SIGSTOP)
    try:
        asking = asyncio.create_task(chat(stack.url, "still", "hello?"))
        await asyncio.sleep(1.2)
    finally:
        os.kill(stack.pid_of("dialog-engine"), signal.SIGCONT)
    answer = await asking
    assert (answer.status, answer.events[-1]) == (200, "done")
    assert answer.turn == 1


async def test_while_the_engine_is_away_the_answer_is_legacy_unavailable(stack: Stack) -> None:
    os.kill(stack.pid_of("dialog-engine"), signal.SIGSTOP)
    try:
        refused = await chat(stack.url, "away", "hello?")
    finally:
        os.kill(stack.pid_of("dialog-engine"), signal.SIGCONT)
    assert (refused.status, refused.body["code"], refused.body["retryable"]) == (
        503,
        "legacy_unavailable",
        True,
    )
    assert (await answered(stack, "away", "and now?")).events.count("done") == 1


async def test_output_handler_is_killed(stack: Stack) -> None:
    async with watching(stack.ws, "o") as viewer:
        asking = asyncio.create_task(chat(stack.url, "o", "one"))
        await viewer.until(lambda v: len(v.chunks) > 5)
        os.kill(stack.pid_of("output-handler"), signal.SIGKILL)
        await asyncio.wait_for(viewer.closed.wait(), timeouts.STOPPED)
        # The text does not depend on it.
        assert (await asking).events[-1] == "done"
    async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
        while not (await get(stack.service("gateway") + "/readyz"))["ready"] or not await _heard(
            stack
        ):
            await asyncio.sleep(0.3)


async def _heard(stack: Stack) -> bool:
    try:
        async with watching(stack.ws, "o") as viewer:
            await chat(stack.url, "o", "again")
            await viewer.until(lambda v: v.of("CONTROL", "END"), 4)
            return bool(viewer.chunks)
    except (OSError, TimeoutError):
        return False


async def test_input_handler_and_gateway_are_killed(stack: Stack) -> None:
    first = await chat(stack.url, "g", "one")
    for number, service in enumerate(("input-handler", "gateway"), start=2):
        os.kill(stack.pid_of(service), signal.SIGKILL)
        answer = await answered(stack, "g", f"number {number}")
        assert answer.turn > first.turn
    users = [entry["user"] for entry in (await get(f"{stack.url}/sessions/g/turns"))["turns"]]
    assert users == ["one", "number 2", "number 3"]
