from service_runtime.http.line_rate import LINES_A_SECOND, LINES_AT_ONCE, LineRate


def test_a_flood_leaves_few_lines_and_the_next_one_tells_how_many_it_was() -> None:
    """Before: 9 379 broken heads in four seconds were as many lines, 1.4 MB."""
    now = 0.0
    rate = LineRate(lambda: now)
    taken = [rate.take() for _ in range(1_000)]
    assert taken == [0] * int(LINES_AT_ONCE) + [None] * (1_000 - int(LINES_AT_ONCE))
    now = 1 / LINES_A_SECOND
    assert rate.take() == 1_000 - LINES_AT_ONCE
    assert rate.take() is None
    now = 1_000.0
    assert [rate.take() for _ in range(3)] == [1, 0, 0]
