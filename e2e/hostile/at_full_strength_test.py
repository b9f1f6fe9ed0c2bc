"""`make e2e-hostile`: every attack at full strength, one after another on the same system.

The report is kept beside this file.
"""

import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.stack import FAKES, Stack, running
from e2e.hostile.attacks import ATTACKS, Target
from e2e.hostile.watch import watched

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

REPORT = Path(__file__).parent / "results" / "latest.json"
GREW_MB = 160
REDIS_MB = 160


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {**FAKES, "FAKE_WORDS": "20", "FAKE_WORD_S": "0.02", "FAKE_CHAR_MS": "10"}
    env |= {"RATE_LIMIT_PER_SECOND": "20", "RATE_LIMIT_BURST": "60"}
    with running(tmp_path_factory.mktemp("hostile"), env, legacy=True) as made:
        yield made


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = {
        "machine": platform.machine(),
        "at": time.strftime("%Y-%m-%d"),
        "attacks": {},
    }
    yield made
    REPORT.write_text(json.dumps(made, indent=1) + "\n")


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_at_full_strength(stack: Stack, report: dict[str, Any], name: str) -> None:
    attack, _, size = ATTACKS[name]
    began = time.monotonic()
    async with watched(stack, "somebody") as cost:
        found = await attack(Target.of(stack.url), size)
    report["attacks"][name] = {
        "size": size,
        "seconds": round(time.monotonic() - began, 1),
        "answers": dict(sorted(found.items())),
        "grew_mb": cost.grew_mb,
        "grew": cost.grew.partition(":")[0],
        "redis_mb": cost.redis_mb,
        "turns_beside": len(cost.turns),
        "turns_lost": sum(turn.events[-1:] != ["done"] for turn in cost.turns),
    }
    assert report["attacks"][name]["turns_lost"] == 0
    assert cost.grew_mb < GREW_MB
    assert cost.redis_mb < REDIS_MB
