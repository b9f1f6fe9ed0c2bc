"""`make e2e-simulation [SEEDS=10000]`: many seeds, and a fifth as many power cuts.

A failing seed is printed with its actions.
"""

import logging
import sys
import time

import structlog

from e2e.event_simulation.power_cut import cut
from e2e.event_simulation.world import run_seed


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began, turns = time.monotonic(), 0
    for seed in range(seeds):
        turns += len(run_seed(seed).acknowledged)
        if not (seed + 1) % 1_000:
            print(f"{seed + 1} seeds, {turns} turns, {time.monotonic() - began:.0f} s", flush=True)
    cuts = [cut(seed) for seed in range(seeds // 5)]
    lost, halves = sum(each.lost for each in cuts), sum(each.halves for each in cuts)
    acknowledged = sum(each.acknowledged for each in cuts)
    print(f"{len(cuts)} power cuts, {acknowledged} turns, {lost} lost, {halves} halves", flush=True)
    if lost or halves:
        sys.exit(1)


if __name__ == "__main__":
    main()
