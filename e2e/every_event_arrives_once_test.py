"""500 seeds of the simulation; `make e2e-simulation` runs 10 000."""

import pytest

from e2e.event_simulation.world import run_seed

SEEDS = 500
PER_TEST = 125


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_whatever_fails_every_durable_event_has_one_effect(first: int) -> None:
    turns = 0
    for seed in range(first, first + PER_TEST):
        turns += len(run_seed(seed).acknowledged)
    assert turns > 4 * PER_TEST
