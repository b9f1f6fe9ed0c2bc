from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dialog_contracts.event_id import event_id
from dialog_contracts.outbox import EventId


@given(st.integers(-(10**9), 2**50), st.lists(st.one_of(st.integers(), st.text())))
def test_it_is_a_uuid_of_version_7_with_the_time(ts_ms: int, parts: list[object]) -> None:
    made = event_id(ts_ms, *parts)
    TypeAdapter(EventId).validate_python(made)
    found = UUID(made)
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert found.int >> 80 == max(0, min(ts_ms, 2**48 - 1))
    assert event_id(ts_ms, *parts) == made


def test_other_parts_give_another_id() -> None:
    ids = {event_id(1, *parts) for parts in (("a", 1), ("a", 2), ("a1",), ("a", "1", ""), ())}
    assert len(ids) == 5


def test_half_a_character_is_no_error() -> None:
    assert event_id(1, "\ud83d") != event_id(1, "\ud83e")
