from service_runtime.http.log_rate_limit import LINE_BURST, LINES_PER_SECOND, LogRateLimit


def test_a_flood_leaves_few_lines_and_the_next_one_tells_how_many_it_was() -> None:
    """Before: 9 379 broken heads in four seconds were as many lines, 1.4 MB."""
    now = 0.0
    rate = LogRateLimit(lambda: now)
    taken = [rate.acquire() for _ in range(1_000)]
    assert taken == [0] * int(LINE_BURST) + [None] * (1_000 - int(LINE_BURST))
    now = 1 / LINES_PER_SECOND
    assert rate.acquire() == 1_000 - LINE_BURST
    assert rate.acquire() is None
    now = 1_000.0
    assert [rate.acquire() for _ in range(3)] == [1, 0, 0]
