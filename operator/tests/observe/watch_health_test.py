"""Watches are established when each was answered; a list after that means that one began anew."""

from vtuber_operator.observe.watch_health import WatchHealth


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_judged_by_answers() -> None:
    clock, told = Clock(), []
    progress = WatchHealth(
        ["/a", "/b"],
        on_relist=lambda: told.append("relist"),
        on_established=lambda: told.append("established"),
        clock=clock,
    )
    progress.answered("/a", 200, watch=False)
    progress.answered("/a", 200, watch=True)
    progress.answered("/b", 403, watch=True)
    assert list(progress.missing) == ["/b"]
    progress.answered("/b", 200, watch=True)
    assert progress.established
    clock.now += 50
    progress.answered("/a", 200, watch=True)
    assert progress.silent_s() == 50
    progress.answered("/b", 200, watch=False)
    assert told == ["established", "relist"]
    progress.restarted()
    assert list(progress.missing) == ["/a", "/b"]
    assert progress.silent_s() == 0
