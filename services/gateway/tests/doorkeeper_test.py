import pytest

from gateway import doorkeeper
from gateway.doorkeeper import Doorkeeper
from gateway.errors import OriginRefused, RateLimited


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Doorkeeper:
    return Doorkeeper(["https://vtuber.example"], a_second=2, at_once=5, sockets=2, clock=clock)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8000"),
        (None, None),
        ("https://vtuber.example", "localhost:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("https://Live.Example", "live.example"),
        ("http://localhost:8000", "LOCALHOST:8000"),
    ],
)
def test_our_own_page_listed_origins_and_clients_without_one_may_come_in(
    door: Doorkeeper, origin: str | None, host: str | None
) -> None:
    door.check_origin(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://vtuber.example",
        "https://vtuber.example.evil.example",
        "https://evil-vtuber.example",
        "https://vtuber.example:444",
        "https://VTUBER.example",
        "https://vtuber.example/",
        "http://localhost:8001",
        "http://localhost",
        "http://user@localhost:8000",
        "http://localhost:8000.evil.example",
        "file://localhost:8000",
        "localhost:8000",
        "http://[::1",
        "http://" + "x" * 10_000,
    ],
)
def test_every_other_origin_is_refused_in_few_words(door: Doorkeeper, origin: str) -> None:
    with pytest.raises(OriginRefused) as refused:
        door.check_origin(origin, "localhost:8000")
    assert (refused.value.status, refused.value.body.code, refused.value.body.field) == (403, "origin_refused", "Origin")
    assert len(refused.value.body.message) < 200


def test_a_page_cannot_pass_where_there_is_no_host(door: Doorkeeper) -> None:
    with pytest.raises(OriginRefused):
        door.check_origin("http://", None)
    with pytest.raises(OriginRefused):
        door.check_origin("http://", "")


def taken(door: Doorkeeper, address: str = "10.0.0.1") -> int:
    """How many tokens can be taken before the address is refused."""
    count = 0
    while count < 100:
        try:
            door.take_token(address)
        except RateLimited:
            return count
        count += 1
    return count


def test_a_bucket_holds_its_tokens_and_fills_with_time(door: Doorkeeper, clock: Clock) -> None:
    assert taken(door) == 5
    clock.now += 0.4
    assert taken(door) == 0
    clock.now += 0.1
    assert taken(door) == 1
    clock.now += 1.5
    assert taken(door) == 3
    clock.now += 3600
    assert taken(door) == 5


def test_each_address_has_its_own_bucket(door: Doorkeeper) -> None:
    assert taken(door, "10.0.0.1") == 5
    assert taken(door, "10.0.0.2") == 5


def test_a_refusal_says_when_to_come_back(door: Doorkeeper, clock: Clock) -> None:
    taken(door)
    with pytest.raises(RateLimited) as refused:
        door.take_token("10.0.0.1")
    assert refused.value.status == 429
    assert refused.value.body.limit == 2
    assert refused.value.body.retryable
    assert refused.value.retry_after_s == pytest.approx(0.5)
    clock.now += 0.5
    door.take_token("10.0.0.1")


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch, door: Doorkeeper) -> None:
    monkeypatch.setattr(doorkeeper, "ADDRESSES_REMEMBERED", 3)
    assert taken(door, "first") == 5
    for number in range(3):
        door.take_token(f"other-{number}")
    assert len(door._buckets) == 3
    assert taken(door, "first") == 5


def test_open_sockets_of_an_address_are_counted_and_given_back(door: Doorkeeper) -> None:
    door.socket_opened("10.0.0.1")
    door.socket_opened("10.0.0.1")
    with pytest.raises(RateLimited, match="2 open sockets"):
        door.socket_opened("10.0.0.1")
    door.socket_opened("10.0.0.2")
    door.socket_closed("10.0.0.1")
    door.socket_opened("10.0.0.1")
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        door.socket_closed(address)
    assert door._sockets == {}
