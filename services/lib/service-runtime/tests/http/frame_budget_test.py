import pytest

from service_runtime.http import bounds
from service_runtime.http.frame_budget import FrameBudget
from service_runtime.http.frame_tracker import FrameBoundaryTracker

PING = b"\x89\x80\x00\x00\x00\x00"
TEXT = b"\x81\x81\x00\x00\x00\x00x"
FIRST_PART = b"\x01\x81\x00\x00\x00\x00x"
PART = b"\x00\x81\x00\x00\x00\x00x"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FRAME_BURST", 3)
    monkeypatch.setattr(bounds, "FRAMES_PER_SECOND", 2)
    monkeypatch.setattr(bounds, "FRAGMENTS", 4)


def test_a_burst_is_allowed_and_one_more_ends_the_connection_until_time_has_passed() -> None:
    tracker, now = FrameBoundaryTracker(), [0.0]
    budget = FrameBudget(tracker, clock=lambda: now[0])
    tracker.feed(TEXT * 3)
    assert budget.exceeded() is None
    now[0] = 1.0
    tracker.feed(TEXT * 2)
    assert budget.exceeded() is None
    tracker.feed(TEXT)
    assert budget.exceeded() == "more than 2 frames a second"


def test_where_messages_are_counted_elsewhere_only_pings_and_parts_count() -> None:
    tracker = FrameBoundaryTracker()
    budget = FrameBudget(tracker, parts_only=True, clock=lambda: 0.0)
    tracker.feed(TEXT * 50)
    assert budget.exceeded() is None
    tracker.feed(PING * 4)
    assert budget.exceeded() == "more than 2 frames a second"


def test_a_message_may_have_only_so_many_parts() -> None:
    tracker = FrameBoundaryTracker()
    budget = FrameBudget(tracker, clock=lambda: 0.0)
    tracker.feed(FIRST_PART + PART * 9)
    assert budget.exceeded() == "a message in more than 4 frames"
