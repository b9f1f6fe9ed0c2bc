import json

import pytest

from dialog_contracts.outbox import MAX_EVENT_BYTES
from dialog_redis.event_streams.entry import Entry, Rejected

EVENT = {
    "eventId": "0199f2c4-7d1e-7c3a-9b52-6f1e2a4d8c02",
    "correlationId": "live-001#42",
    "sessionId": "live-001",
    "turn": 42,
    "type": "TurnInterrupted",
    "payload": {"heardText": "h", "text": "t", "vectorize": False, "revision": 1},
    "ts": 1790006400,
}


def entry(**changes: object) -> Entry:
    return Entry("1-0", {"payload": json.dumps({**EVENT, **changes})})


def test_an_event_and_its_payload_are_checked() -> None:
    assert entry().event().turn == 42
    assert entry(unknownField=1).event().turn == 42


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"turn": 0}, "turn"),
        ({"type": "Other"}, "type"),
        ({"payload": {}}, "heardText"),
        ({"eventId": "x"}, "eventId"),
        ({"sessionId": "../x"}, "sessionId"),
    ],
)
def test_the_field_that_is_wrong_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Rejected, match=field):
        entry(**changes).event()


def test_a_missing_and_a_large_payload_are_named() -> None:
    with pytest.raises(Rejected, match="JSON"):
        Entry("1-0", {}).event()
    with pytest.raises(Rejected, match=f"at most {MAX_EVENT_BYTES}"):
        Entry("1-0", {"payload": "x" * (MAX_EVENT_BYTES + 1)}).event()
