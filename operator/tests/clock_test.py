import time

from vtuber_operator.clock import unix_ms


def test_it_is_the_wall_clock_in_whole_milliseconds() -> None:
    before = time.time()
    now = unix_ms()
    assert isinstance(now, int)
    assert before * 1000 - 1 <= now <= time.time() * 1000 + 1
