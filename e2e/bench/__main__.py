"""`make bench`: the budgets, measured. Prints a table and writes e2e/bench/results/latest.json, one flat object of numbers."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import uvloop

from e2e.bench import cluster, fallback, picture, scenarios
from e2e.bench.table import print_table

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="vtuber-bench-") as folder:
        for scenario in (*scenarios.ALL, fallback.legacy_turn, fallback.fallback_detected, fallback.switch_cost):
            if len(sys.argv) > 1 and scenario.__name__ not in sys.argv[1:]:
                continue
            print(f"{scenario.__name__}: {(scenario.__doc__ or '').splitlines()[0]} …", flush=True)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                figures |= runner.run(scenario(Path(folder) / scenario.__name__))
    if len(sys.argv) == 1 or "cluster" in sys.argv[1:]:
        without = cluster.missing()
        print(
            f"cluster: left out ({without})" if without else f"cluster: {(cluster.__doc__ or '').splitlines()[0]} …", flush=True
        )
        figures |= {} if without else cluster.measure()
    if len(sys.argv) == 1:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
        picture.PICTURE.write_text(picture.draw(figures), encoding="utf-8")
    print_table(figures)


if __name__ == "__main__":
    main()
