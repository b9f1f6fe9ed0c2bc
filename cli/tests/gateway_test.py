import pytest

from vtuber_cli import gateway


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://vtuber.example.org/", "https://vtuber.example.org"),
        ("localhost:8481", "http://localhost:8481"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_taken_as_it_is_written(written: str, meant: str) -> None:
    assert gateway.address(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ftp://a",
        "http://",
        "http://a:b",
        "http://a:70000",
        "http://a/page",
        "http://[::1",
        "a?b",
    ],
)
def test_what_is_no_address_is_refused_with_one(written: str) -> None:
    with pytest.raises(
        ValueError, match="is not an address of a gateway; write one like http://127.0.0.1:8000"
    ):
        gateway.address(written)
