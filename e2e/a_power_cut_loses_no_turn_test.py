"""200 power cuts; `make e2e-simulation` makes 2 000."""

import pytest

from e2e.event_simulation.power_cut import cut

CUTS = 200
PER_TEST = 50


@pytest.mark.parametrize("first", range(0, CUTS, PER_TEST))
def test_what_was_acknowledged_is_there_with_its_events(first: int) -> None:
    cuts = [cut(seed) for seed in range(first, first + PER_TEST)]
    assert sum(each.lost for each in cuts) == 0
    assert sum(each.halves for each in cuts) == 0
    assert sum(each.acknowledged for each in cuts) > 10 * PER_TEST
