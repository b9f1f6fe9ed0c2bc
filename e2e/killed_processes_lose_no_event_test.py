"""The kill loop in short; `make e2e-durability` runs it with 10 000 events and a hundred kills."""

from pathlib import Path

import pytest

from e2e.durability.kill_loop import KillLoop

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


async def test_no_event_is_lost_or_doubled_whoever_is_killed(tmp_path: Path) -> None:
    report = await KillLoop(tmp_path, turns=300, kills=10, seed=20_261_201).run()
    assert (report.lost, report.doubled, report.unexpected) == (0, 0, 0), report
    assert report.acknowledged >= 300
    assert sum(report.kills.values()) >= 10
