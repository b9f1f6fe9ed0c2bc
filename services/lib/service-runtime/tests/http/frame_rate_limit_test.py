from service_runtime.http.frame_rate_limit import FrameRateLimit


def test_so_many_frames_in_a_second_and_again_in_the_next() -> None:
    now = [0.0]
    rate = FrameRateLimit(3, lambda: now[0])
    assert [rate.exceeded() for _ in range(5)] == [False, False, False, True, True]
    now[0] = 1.01
    assert [rate.exceeded() for _ in range(4)] == [False, False, False, True]
