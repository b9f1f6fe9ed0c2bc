import pytest

from input_handler.turns.connection_limit import ConcurrencyLimit
from service_runtime.http.errors import TooMany


def test_one_more_than_there_are_is_refused_until_one_is_free() -> None:
    slots = ConcurrencyLimit(2)
    slots.acquire()
    slots.acquire()
    with pytest.raises(TooMany, match="2 turns at once"):
        slots.acquire()
    slots.release()
    slots.acquire()
