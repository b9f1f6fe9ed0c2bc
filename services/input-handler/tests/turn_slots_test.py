import pytest

from input_handler.turn_slots import TurnSlots
from service_runtime.errors import TooMany


def test_one_more_than_there_are_is_refused_until_one_is_free() -> None:
    slots = TurnSlots(2)
    slots.take()
    slots.take()
    with pytest.raises(TooMany, match="2 turns at once"):
        slots.take()
    slots.free()
    slots.take()
