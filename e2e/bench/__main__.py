"""`make bench`: the budgets, measured. Prints a table and writes e2e/bench/results/latest.json, one flat object of numbers.

With names of scenarios, only those, and nothing is written. `soak [MINUTES]` (`make soak`) is ten minutes by itself: soak.json.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from e2e.bench import (
    browser_stop,
    chart,
    cluster,
    event_delivery,
    fallback,
    scenarios,
    soak,
)
from e2e.bench.cpu_steal import QUIET_SHARE, stolen, stolen_share
from e2e.bench.table import print_table

Scenario = Callable[[Path], Coroutine[Any, Any, dict[str, float]]]
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    if sys.argv[1:2] == ["soak"]:
        soak_alone(float(sys.argv[2]) if len(sys.argv) > 2 else 10.0)
        return
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="vtuber-bench-") as folder:
        for scenario in (
            *scenarios.ALL,
            browser_stop.ear_silence,
            fallback.legacy_turn,
            fallback.fallback_detected,
            fallback.switch_cost,
            event_delivery.event_delivery,
            event_delivery.outbox_first_audio,
            soak.soak_short,
        ):
            if len(sys.argv) > 1 and scenario.__name__ not in sys.argv[1:]:
                continue
            print(f"{scenario.__name__}: {(scenario.__doc__ or '').splitlines()[0]} …", flush=True)
            figures |= measured(scenario, Path(folder))
    if len(sys.argv) == 1 or "cluster" in sys.argv[1:]:
        without = cluster.missing()
        print(
            f"cluster: left out ({without})"
            if without
            else f"cluster: {(cluster.__doc__ or '').splitlines()[0]} …",
            flush=True,
        )
        figures |= {} if without else cluster.measure()
    if len(sys.argv) == 1:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
        chart.PICTURE.write_text(chart.draw(figures), encoding="utf-8")
    print_table(figures)


def measured(scenario: Scenario, folder: Path) -> dict[str, float]:
    """The figures of a scenario and what the host took meanwhile.

    Of a short one that was disturbed, the quieter of two runs.
    """
    name = scenario.__name__
    runs: list[dict[str, float]] = []
    for number in range(2 if scenario in scenarios.SHORT else 1):
        found: dict[str, float] = {}
        with stolen(found, name), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found |= runner.run(scenario(folder / f"{name}-{number}"))
        runs.append(found)
        if stolen_share(found, name) < QUIET_SHARE:
            break
        print(
            f"  somebody else had {stolen_share(found, name):.0%} of the time in which something here wanted a core",
            flush=True,
        )
    return min(runs, key=lambda found: stolen_share(found, name))


def soak_alone(minutes: float) -> None:
    """The long one."""
    print(f"soak: {(soak.__doc__ or '').splitlines()[0]} {minutes:.0f} minutes …", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="vtuber-soak-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(soak.soak(Path(folder), minutes))
    (RESULTS.parent / "soak.json").write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print_table(figures)


if __name__ == "__main__":
    main()
