"""Two engines and no legacy chain.

One that ends, or is killed, under talk costs a moment and no turn that had not begun to be
answered.
"""

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import pytest

from e2e import timeouts
from e2e.harness.clients import Answer, chat, get
from e2e.harness.stack import FAKES, Stack, running

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ENV = {
    **FAKES,
    "FAKE_FIRST_TOKEN_S": "0.03",
    "FAKE_WORD_S": "0.02",
    "FAKE_CHAR_MS": "20",
    "DRAIN_S": "3",
    "ENGINE_UNAVAILABLE_WAIT_S": "30",
}
SESSIONS = [f"wait-{number}" for number in range(8)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("waiting"), ENV, scales=("dialog-engine=2",)) as made:
        yield made


async def _talk(stack: Stack, name: str, over: asyncio.Event, pause_s: float) -> list[Answer]:
    answers = []
    while not over.is_set():
        answers.append(await chat(stack.url, name, "and then?"))
        await asyncio.sleep(pause_s)
    return answers


@pytest.mark.parametrize(
    ("engine", "way"), [("dialog-engine", signal.SIGTERM), ("dialog-engine-1", signal.SIGKILL)]
)
async def test_every_message_is_answered(stack: Stack, engine: str, way: signal.Signals) -> None:
    over = asyncio.Event()
    # Two people in each: a message may also come while the answer to another is being written.
    talking = [
        asyncio.create_task(_talk(stack, name, over, pause_s))
        for name in SESSIONS
        for pause_s in (0.3, 0.5)
    ]
    await asyncio.sleep(0.5)
    os.kill(stack.pids[engine], way)
    await asyncio.sleep(timeouts.LEASE + 3)
    over.set()
    told = await asyncio.gather(*talking)
    for number, name in enumerate(SESSIONS):
        answers = told[2 * number] + told[2 * number + 1]
        assert {answer.status for answer in answers} == {200}, name
        broken = [answer for answer in answers if answer.events[-1] != "done"]
        # A killed engine takes with it what it had accepted: one message of each who talks, who is
        # told, and may ask again.
        for person in (told[2 * number], told[2 * number + 1]):
            assert sum(answer in broken for answer in person) <= (
                1 if way is signal.SIGKILL else 0
            ), name
        assert all(json.loads(answer.frames[-1].data)["retryable"] for answer in broken), name
        kept = [turn["turn"] for turn in (await get(f"{stack.url}/sessions/{name}/turns"))["turns"]]
        assert kept == sorted(set(kept))
        assert set(kept) >= {answer.turn for answer in answers if answer not in broken}
