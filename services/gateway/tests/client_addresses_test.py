import ipaddress

import pytest

from gateway.client_addresses import ClientAddresses
from gateway.settings import GatewaySettings

PROXIES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


def client(peer: str | None, said: str | None = None, *, trusted: bool = True) -> str:
    headers = [(b"x-forwarded-for", said.encode())] if said is not None else []
    scope = {"client": (peer, 1) if peer is not None else None, "headers": headers}
    return ClientAddresses(PROXIES if trusted else []).address_of(scope)


@pytest.mark.parametrize(
    ("peer", "said", "expected"),
    [
        ("10.0.0.7", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.7", "6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.7", "6.6.6.6, 203.0.113.5, 10.9.9.9", "203.0.113.5"),
        ("fd00::1", "2001:db8::1", "2001:db8::/64"),
        ("10.0.0.7", None, "10.0.0.7"),
        ("10.0.0.7", "10.1.1.1, 10.2.2.2", "10.0.0.7"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),
        (None, "6.6.6.6", ""),
    ],
)
def test_a_client_is_who_the_last_proxy_of_ours_says_it_is(
    peer: str | None, said: str | None, expected: str
) -> None:
    assert client(peer, said) == expected


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert client("10.0.0.7", "6.6.6.6", trusted=False) == "10.0.0.7"


def test_whatever_is_said_is_short() -> None:
    assert len(client("10.0.0.7", "x" * 5_000)) <= 64


def test_networks_are_a_setting() -> None:
    made = GatewaySettings(trusted_proxies="10.0.0.0/8, fd00::/8")
    assert list(made.trusted_proxies) == PROXIES
