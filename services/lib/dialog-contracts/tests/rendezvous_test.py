from collections import Counter

from hypothesis import given
from hypothesis.strategies import integers, text

from dialog_contracts.rendezvous import rank_engines


@given(text(max_size=64), integers(1, 12))
def test_every_engine_has_its_place_and_one_more_engine_moves_nobody_between_the_others(
    session: str, engines: int
) -> None:
    order = rank_engines(session, engines)
    assert sorted(order) == list(range(engines))
    assert [
        ordinal for ordinal in rank_engines(session, engines + 1) if ordinal != engines
    ] == order


def test_sessions_are_spread_evenly() -> None:
    homes = Counter(rank_engines(f"live-{number:03}", 4)[0] for number in range(2_000))
    assert all(400 <= count <= 600 for count in homes.values())


def test_where_a_session_belongs_does_not_change_with_a_version() -> None:
    assert [rank_engines(f"live-00{number}", 3) for number in range(4)] == EXPECTED


EXPECTED = [[1, 0, 2], [1, 0, 2], [1, 2, 0], [1, 0, 2]]
