"""Hostile clients, whatever they do at the port: memory stays bounded, everybody else's turns end, and nothing is printed but one line.

Gates are bytes, counts, and turns that end; no time is measured. At full strength: `make e2e-hostile`.
"""

import asyncio
from collections.abc import Iterator

import pytest

from e2e.harness.clients import chat, get, metric
from e2e.harness.stack import FAKES, Stack, running
from e2e.hostile.attacks import ATTACKS, Target
from e2e.hostile.watch import watched
from service_runtime.http import bounds

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

GREW_MB = 128
REDIS_MB = 160
"""Recordings of all clients have 128 MB in Redis at most; its own book-keeping comes on top."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """As a newcomer has it, limits and all, with a model and a voice of known timing."""
    env = {
        **FAKES,
        "FAKE_WORDS": "20",
        "FAKE_WORD_S": "0.02",
        "FAKE_CHAR_MS": "10",
        "RATE_LIMIT_PER_SECOND": "20",
        "RATE_LIMIT_BURST": "60",
    }
    with running(tmp_path_factory.mktemp("hostile"), env, legacy=True) as made:
        yield made


EXPECTED = {
    "endless heads": {"413", "414", "431"},
    "handshakes with long heads": {"431"},
    "ping floods": {"1008"},
    "empty fragments": {"1008"},
    "slow and idle": {"open", "ended"},
    "many turns": {"200", "429"},
    "turns by socket": {"taken", "refused"},
    "recordings": {"queued", "refused"},
    "broken bodies": {"left"},
    "rebound names": {"403"},
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_costs_little_and_nobody_else_notices(stack: Stack, name: str) -> None:
    attack, size, _ = ATTACKS[name]
    crashed = [
        await crashes(stack, service)
        for service in ("gateway", "input-handler", "dialog-engine", "output-handler")
    ]
    async with watched(stack, "somebody") as cost:
        found = await attack(Target.of(stack.url), size)
    assert set(found) <= EXPECTED[name], found
    assert found.total() > 0
    assert all(turn.events[-1:] == ["done"] for turn in cost.turns), [
        turn.body for turn in cost.turns
    ]
    assert cost.grew_mb < GREW_MB, cost
    assert cost.redis_mb < REDIS_MB, cost
    assert [
        await crashes(stack, service)
        for service in ("gateway", "input-handler", "dialog-engine", "output-handler")
    ] == crashed
    if name == "slow and idle":
        assert found["open"] <= bounds.MAX_CONNECTING_PER_ADDRESS
    if name == "many turns":
        assert found["429"] > 0


async def crashes(stack: Stack, service: str) -> float:
    """Tasks that ended with an error, and what was logged as one."""
    errors = sum(line.get("level") == "error" for line in stack.log_lines(service))
    return (await metric(stack.service(service), "dialog_task_crashes_total") or 0.0) + errors


async def test_afterwards_everything_is_as_it_was(stack: Stack) -> None:
    assert (await get(stack.service("input-handler") + "/readyz"))["details"]["circuit"] == {
        "only": "closed"
    }
    assert (await chat(stack.url, "somebody")).stats.get("path", "sync") == "sync"
    for service in ("gateway", "input-handler", "dialog-engine", "output-handler"):
        log = (stack.data / "logs" / f"{service}.log").read_text()
        assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:3_000]
    # What the engine still speaks for the strangers ends with their turns.
    async with asyncio.timeout(120):
        while await metric(stack.service("dialog-engine"), "dialog_turns_running"):
            await asyncio.sleep(0.2)
