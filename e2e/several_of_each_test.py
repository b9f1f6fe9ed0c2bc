"""Two engines and two output-handlers.

Each session has one owner, STOP finds it from anywhere, and an engine that goes loses no turn.
"""

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from e2e import timeouts
from e2e.harness.clients import Answer, Viewer, chat, chunks_after_stop_ack, get, post, watching
from e2e.harness.stack import FAKES, Stack, running

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ENV = {
    **FAKES,
    "FAKE_FIRST_TOKEN_S": "0.03",
    "FAKE_WORD_S": "0.02",
    "FAKE_CHAR_MS": "20",
    "DRAIN_S": "3",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    scales = ("dialog-engine=2", "output-handler=2")
    with running(tmp_path_factory.mktemp("several"), ENV, legacy=True, scales=scales) as made:
        yield made


def ws(stack: Stack, output: int) -> str:
    return stack.service("output-handler-1" if output else "output-handler").replace("http", "ws")


async def owned(stack: Stack) -> list[int]:
    """How many sessions each engine has."""
    engines = [
        await get(f"{stack.service(name)}/readyz") for name in ("dialog-engine", "dialog-engine-1")
    ]
    return [engine["details"]["sessions"] for engine in engines]


async def test_sessions_are_shared_out_and_each_goes_on_where_it_was(stack: Stack) -> None:
    for asked in (1, 2):
        answers = await asyncio.gather(
            *(chat(stack.url, f"share-{number}", "hi", meta={"lang": "en"}) for number in range(12))
        )
        assert {(answer.events[-1], answer.turn) for answer in answers} == {("done", asked)}
    # A turn whose engine was late for once was answered by the chain: its session may have no owner
    # yet.
    legacy = sum(answer.stats.get("path") == "legacy" for answer in answers)
    first, second = await owned(stack)
    assert 12 - legacy <= first + second <= 12
    assert legacy < 6
    assert min(first, second) >= 2
    for number in range(12):
        turns = (await get(f"{stack.url}/sessions/share-{number}/turns"))["turns"]
        assert [turn["turn"] for turn in turns] == [1, 2]


async def test_a_stop_heard_by_the_wrong_replica_silences_all_viewers_of_the_session_and_no_other(
    stack: Stack,
) -> None:
    async with AsyncExitStack() as viewers:
        here = [
            await viewers.enter_async_context(watching(ws(stack, 0), name))
            for name in ("far-a", "far-b")
        ]
        there = await viewers.enter_async_context(watching(ws(stack, 1), "far-a"))
        asking = [
            asyncio.create_task(chat(stack.url, name)) for name in ("far-a", "far-b", "far-c")
        ]
        await here[0].until(lambda v: len(v.chunks) > 10)
        await there.until(lambda v: len(v.chunks) > 10)
        # Nobody watches far-c: only the engines know whether it sounds.
        reply = await post(
            stack.service("output-handler-1"), {"sessionId": "far-c"}, path="/control/stop"
        )
        assert reply.body == {"ok": True, "stopped": True}
        reply = await post(
            stack.service("output-handler-1"), {"sessionId": "far-a"}, path="/control/stop"
        )
        assert reply.body == {"ok": True, "stopped": True}
        for viewer in (here[0], there):
            await viewer.until(lambda v: v.of("CONTROL", "STOP_ACK"), timeouts.STOPPED)
        counts = [len(viewer.chunks) for viewer in (here[0], there)]
        await asyncio.sleep(0.3)
        assert [len(viewer.chunks) for viewer in (here[0], there)] == counts
        await here[1].until(lambda v: v.of("CONTROL", "END"))
        assert not here[1].of("CONTROL", "STOP")
        assert [(await one).stats["interrupted"] for one in asking] == [True, False, True]
    reply = await post(
        stack.service("output-handler-1"), {"sessionId": "nobody-ever"}, path="/control/stop"
    )
    assert reply.status == 404


async def test_stops_at_two_hundred_random_moments_hit_their_own_turn_and_leave_nothing_behind(
    stack: Stack,
) -> None:
    """0 wrong sessions, 0 chunks after STOP_ACK, 0 leaked tasks; every next turn answers."""
    chance = random.Random(6)
    sessions = [f"rand-{number}" for number in range(20)]

    async def one(name: str, viewer: Viewer) -> int:
        stopped = 0
        for _ in range(10):
            asking = asyncio.create_task(chat(stack.url, name))
            await asyncio.sleep(chance.uniform(0, 1.2))
            service = stack.service(chance.choice(["output-handler", "output-handler-1"]))
            reply = await post(service, {"sessionId": name}, path="/control/stop")
            assert reply.status in (202, 404)
            answer = await asking
            assert answer.events[-1] == "done" or reply.body.get("stopped"), answer.frames
            stopped += bool(reply.body.get("stopped"))
        whole = await chat(stack.url, name, "and now the next")
        assert (whole.events[-1], whole.stats["interrupted"]) == ("done", False)
        await viewer.until(
            lambda v: any(frame["turn"] == whole.turn for frame in v.of("CONTROL", "END"))
        )
        return stopped

    before = await tasks(stack)
    async with AsyncExitStack() as viewers:
        heard = {
            name: await viewers.enter_async_context(watching(ws(stack, number % 2), name))
            for number, name in enumerate(sessions)
        }
        stopped = await asyncio.gather(*(one(name, viewer) for name, viewer in heard.items()))
        await asyncio.sleep(0.5)
    assert sum(stopped) >= 100, "most of the moments were within a turn"
    for name, viewer in heard.items():
        assert {frame["sessionId"] for frame in viewer.frames if "sessionId" in frame} == {name}
        assert viewer.of("ERROR") == []
        assert chunks_after_stop_ack(viewer) == []
    async with asyncio.timeout(10):
        # What serves open connections comes and goes; nothing else may be left of 220 turns.
        while any(count > before[service] + 4 for service, count in (await tasks(stack)).items()):
            await asyncio.sleep(0.2)


async def tasks(stack: Stack) -> dict[str, float]:
    """Of each service's event loop."""
    async with aiohttp.ClientSession() as http:
        found = {}
        for service in (
            "gateway",
            "input-handler",
            "dialog-engine",
            "dialog-engine-1",
            "output-handler",
            "output-handler-1",
        ):
            url = stack.url if service == "gateway" else stack.service(service)
            async with http.get(f"{url}/metrics") as answer:
                found[service] = float(
                    re.findall(r"^dialog_asyncio_tasks (\S+)", await answer.text(), re.MULTILINE)[0]
                )
        return found


async def _talk(stack: Stack, name: str, until: asyncio.Event, answers: list[Answer]) -> None:
    while not until.is_set():
        answers.append(await chat(stack.url, name, "and then?"))


async def test_an_engine_that_ends_hands_its_sessions_over_and_no_turn_is_lost(
    stack: Stack,
) -> None:
    sessions = [f"roll-{number}" for number in range(6)]
    await asyncio.gather(*(chat(stack.url, name, "first") for name in sessions))
    over = asyncio.Event()
    answers: dict[str, list[Answer]] = {name: [] for name in sessions}
    talking = [asyncio.create_task(_talk(stack, name, over, answers[name])) for name in sessions]
    await asyncio.sleep(0.5)
    os.kill(stack.pids["dialog-engine"], signal.SIGTERM)
    began = time.monotonic()
    await asyncio.sleep(6)
    over.set()
    await asyncio.gather(*talking)
    for name in sessions:
        assert [answer.events[-1] for answer in answers[name]] == ["done"] * len(answers[name]), (
            name
        )
        turns = (await get(f"{stack.url}/sessions/{name}/turns"))["turns"]
        numbers = [turn["turn"] for turn in turns]
        assert numbers == sorted(set(numbers))
        assert set(numbers) >= {answer.turn for answer in answers[name]}
    paths = [answer.stats.get("path", "sync") for given in answers.values() for answer in given]
    assert paths.count("legacy") <= len(sessions), (
        "the legacy chain answers what comes while a turn is still written, and no more"
    )
    assert time.monotonic() - began < 60


async def test_an_engine_that_hangs_is_stood_in_for(stack: Stack) -> None:
    await _all_there(stack)
    sessions = [f"hang-{number}" for number in range(6)]
    await asyncio.gather(*(chat(stack.url, name, "first") for name in sessions))
    engine = stack.pids["dialog-engine-1"]
    os.kill(engine, signal.SIGSTOP)
    try:
        answers = await asyncio.gather(
            *(chat(stack.url, name, "are you there?") for name in sessions)
        )
        assert {answer.events[-1] for answer in answers} == {"done"}, (
            "the other engine, or the legacy chain"
        )
        await asyncio.sleep(timeouts.LEASE)
        # One that is late for once, as machines are, is answered by the chain; the engine that
        # stands in has them all in the end.
        async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
            paths: set[str] = set()
            while paths != {"sync"}:
                answers = await asyncio.gather(
                    *(chat(stack.url, name, "and now?") for name in sessions)
                )
                assert {answer.events[-1] for answer in answers} == {"done"}
                paths = {answer.stats.get("path", "sync") for answer in answers}
    finally:
        os.kill(engine, signal.SIGCONT)


async def _all_there(stack: Stack) -> None:
    """Both engines, also one that was just replaced."""
    async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
        while True:
            try:
                await owned(stack)
                return
            except OSError:
                await asyncio.sleep(0.1)
