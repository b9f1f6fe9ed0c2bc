import pytest

from gateway import admission
from gateway.admission import AdmissionControl
from gateway.errors import RateLimited


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> AdmissionControl:
    return AdmissionControl(a_second=2, at_once=5, sockets=2, clock=clock)


def taken(door: AdmissionControl, address: str = "10.0.0.1") -> int:
    """How many tokens can be taken before the address is refused."""
    count = 0
    while count < 100:
        try:
            door.acquire_request(address)
        except RateLimited:
            return count
        count += 1
    return count


def test_a_bucket_holds_its_tokens_and_fills_with_time(
    door: AdmissionControl, clock: Clock
) -> None:
    assert taken(door) == 5
    clock.now += 0.4
    assert taken(door) == 0
    clock.now += 0.1
    assert taken(door) == 1
    clock.now += 1.5
    assert taken(door) == 3
    clock.now += 3600
    assert taken(door) == 5


def test_each_address_has_its_own_bucket(door: AdmissionControl) -> None:
    assert taken(door, "10.0.0.1") == 5
    assert taken(door, "10.0.0.2") == 5


def test_a_refusal_says_when_to_come_back(door: AdmissionControl, clock: Clock) -> None:
    taken(door)
    with pytest.raises(RateLimited) as refused:
        door.acquire_request("10.0.0.1")
    assert refused.value.status == 429
    assert refused.value.body.limit == 2
    assert refused.value.body.retryable
    assert refused.value.retry_after_s == pytest.approx(0.5)
    clock.now += 0.5
    door.acquire_request("10.0.0.1")


def test_only_so_many_addresses_are_remembered(
    monkeypatch: pytest.MonkeyPatch, door: AdmissionControl
) -> None:
    monkeypatch.setattr(admission, "MAX_REMEMBERED_ADDRESSES", 3)
    assert taken(door, "first") == 5
    for number in range(3):
        door.acquire_request(f"other-{number}")
    assert len(door._requests._buckets) == 3
    assert taken(door, "first") == 5


def test_open_sockets_of_an_address_are_counted_and_given_back(
    door: AdmissionControl, clock: Clock
) -> None:
    door.open_socket("10.0.0.1")
    door.open_socket("10.0.0.1")
    with pytest.raises(RateLimited, match="2 open sockets"):
        door.open_socket("10.0.0.1")
    door.open_socket("10.0.0.2")
    door.socket_closed("10.0.0.1")
    door.open_socket("10.0.0.1")
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        door.socket_closed(address)
    assert door._sockets == {}


def test_reading_has_tokens_of_its_own_and_a_file_of_the_page_costs_a_tenth(
    door: AdmissionControl,
) -> None:
    for _ in range(30):
        door.acquire_read("10.0.0.1", file=True)
    door.acquire_read("10.0.0.1")
    door.acquire_read("10.0.0.1")
    with pytest.raises(RateLimited):
        door.acquire_read("10.0.0.1")
    assert taken(door) == 5


def test_a_connection_that_had_to_be_ended_costs_more_than_one_that_was_not(
    door: AdmissionControl, clock: Clock
) -> None:
    door.open_socket("10.0.0.1")
    door.socket_closed("10.0.0.1", flooded=True)
    for _ in range(3):
        with pytest.raises(RateLimited):
            door.open_socket("10.0.0.1")
    clock.now += 3.5
    door.open_socket("10.0.0.1")
