import pytest

from service_runtime.http import bounds
from service_runtime.http.connections import Connections, client_of


class Connection:
    def __init__(self) -> None:
        self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_WAITING_PER_ADDRESS", 3)
    monkeypatch.setattr(bounds, "MAX_IDLE_PER_ADDRESS", 5)
    monkeypatch.setattr(bounds, "MAX_WAITING", 10)
    monkeypatch.setattr(bounds, "MIN_WAIT_S", -1)


def waiting(
    connections: Connections, count: int, address: str, *, kept: bool = False
) -> list[Connection]:
    made = [Connection() for _ in range(count)]
    for connection in made:
        connections.start_waiting(connection, address, kept=kept)
    return made


def gave_way(made: list[Connection]) -> list[bool]:
    return [connection.gave_way for connection in made]


def test_the_oldest_of_an_address_goes_when_another_one_comes() -> None:
    connections = Connections(each_address=True)
    first = waiting(connections, 3, "10.0.0.1")
    others = waiting(connections, 3, "10.0.0.2")
    assert gave_way(first) == [False] * 3
    waiting(connections, 2, "10.0.0.1")
    assert gave_way(first) == [True, True, False]
    assert gave_way(others) == [False] * 3
    assert len(connections) == 6


def test_one_that_has_its_request_does_not_count_and_one_that_is_kept_counts_apart() -> None:
    connections = Connections(each_address=True)
    first = waiting(connections, 3, "10.0.0.1")
    connections.start_request(first[0])
    more = waiting(connections, 1, "10.0.0.1")
    connections.start_waiting(first[0], "10.0.0.1", kept=True)
    assert not any(gave_way([*first, *more]))
    kept = waiting(connections, 5, "10.0.0.1", kept=True)
    assert first[0].gave_way
    assert not any(gave_way([*kept, *first[1:], *more]))


def test_all_together_are_bounded_wherever_they_come_from() -> None:
    connections = Connections(each_address=False)
    made = waiting(connections, 12, "10.0.0.1")
    assert gave_way(made) == [True] * 2 + [False] * 10
    assert len(connections) == 10


def test_what_ended_is_forgotten() -> None:
    connections = Connections(each_address=True)
    for _ in range(2):
        for connection in waiting(connections, 3, "10.0.0.1"):
            connections.ended(connection)
            connections.ended(connection)
    assert len(connections) == 0
    assert connections._by_client == {}


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: str, client: str) -> None:
    assert client_of(address) == client


def test_many_that_connect_at_once_are_no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: of a hundred who all had sent their request, those went that were accepted first."""
    monkeypatch.setattr(bounds, "MIN_WAIT_S", 1)
    monkeypatch.setattr(bounds, "MAX_CONNECTING_PER_ADDRESS", 8)
    now = [0.0]
    connections = Connections(each_address=True, clock=lambda: now[0])
    first = waiting(connections, 8, "10.0.0.1")
    assert not any(gave_way(first))
    waiting(connections, 1, "10.0.0.1")
    assert gave_way(first) == [True] + [False] * 7
    now[0] = 1.5
    later = waiting(connections, 3, "10.0.0.1")
    assert gave_way(first) == [True] * 4 + [False] * 4, "one for each that comes"
    assert not any(gave_way(later))
