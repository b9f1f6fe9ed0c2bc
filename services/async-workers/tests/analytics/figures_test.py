from hypothesis import given
from hypothesis import strategies as st

from async_workers.analytics.figures import percentile


def test_of_nothing_there_is_none() -> None:
    assert percentile([], 0.95) is None


def test_it_is_the_nearest_rank() -> None:
    assert percentile([5.0], 0.95) == 5.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([float(each) for each in range(1, 21)], 0.95) == 19.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_at_least_the_share_is_not_above_it(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found is not None
    assert sum(value <= found + 0.06 for value in values) >= share * len(values) - 1e-9
