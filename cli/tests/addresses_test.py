import pytest

from vtuber_cli import addresses


@pytest.mark.parametrize(
    ("host", "shown", "near"),
    [
        ("127.0.0.1", "http://localhost:8000", "127.0.0.1"),
        ("localhost", "http://localhost:8000", "localhost"),
        ("127.0.0.2", "http://127.0.0.2:8000", "127.0.0.2"),
        ("::1", "http://[::1]:8000", "::1"),
        ("0.0.0.0", "http://localhost:8000", "127.0.0.1"),
        ("::", "http://[::1]:8000", "::1"),
        ("192.168.1.7", "http://192.168.1.7:8000", "192.168.1.7"),
        ("2001:db8::7", "http://[2001:db8::7]:8000", "2001:db8::7"),
    ],
)
def test_where_the_page_is_found_from_here(host: str, shown: str, near: str) -> None:
    assert addresses.display_url(host, 8000) == shown
    assert addresses.local_host(host) == near


def test_where_it_is_found_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "of_this_machine", lambda: "192.168.1.7")
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "::1"):
        assert addresses.lan_urls(host, 8000) is None
    for host in ("0.0.0.0", "::", "192.168.1.7"):
        assert addresses.lan_urls(host, 8000, "https") == "https://192.168.1.7:8000"
    monkeypatch.setattr(addresses, "of_this_machine", lambda: None)
    assert addresses.lan_urls("0.0.0.0", 8000) is None
