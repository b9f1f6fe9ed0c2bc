import pytest

from dialog_providers.proxies import Proxies
from dialog_providers.settings import ModelSettings

P = "http://proxy.example:3128"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "http://127.8.8.8/v1",
        "http://localhost:11434/v1",
        "http://api.localhost/",
        "http://[::1]:1/v1",
        "http://ollama:11434/v1",
        "http://ollama.llm.svc:80/v1",
        "http://ollama.llm.svc.cluster.local/v1",
        "https://ollama.llm.svc.cluster.local./v1",
    ],
)
def test_what_is_near_is_reached_without(url: str) -> None:
    assert Proxies(P, P, P, P).proxy_for(url) is None


def test_the_environment_decides_by_scheme_and_a_setting_over_it() -> None:
    environment = Proxies(None, "http://plain:1", "secure:2", "http://every:3")
    assert environment.proxy_for("http://api.example/v1") == "http://plain:1"
    assert environment.proxy_for("https://api.example/v1") == "http://secure:2"
    assert environment.proxy_for("wss://api.example/v1") == "http://secure:2"
    assert (
        Proxies(None, None, None, "http://every:3").proxy_for("https://api.example/v1")
        == "http://every:3"
    )
    assert Proxies(P, "http://plain:1", "secure:2").proxy_for("https://api.example/v1") == P
    assert Proxies("none", P, P, P).proxy_for("https://api.example/v1") is None
    assert Proxies().proxy_for("https://api.example/v1") is None


@pytest.mark.parametrize(
    ("no", "without"),
    [
        ("*", True),
        ("api.example.org", True),
        ("example.org", True),
        (".example.org", True),
        ("*.example.org", True),
        ("other.org, EXAMPLE.org", True),
        ("api.example.org:443", True),
        ("api.example.org:8443", False),
        ("xample.org", False),
        ("api.example.org.evil", False),
        ("10.0.0.0/8", False),
        ("", False),
        (" , ", False),
    ],
)
def test_no_proxy_names_are_ends_of_names(no: str, without: bool) -> None:
    assert (
        Proxies(None, P, P, None, no).proxy_for("https://api.example.org/v1") is None
    ) is without
    assert (Proxies(P, no=no).proxy_for("https://api.example.org/v1") is None) is without


@pytest.mark.parametrize(
    ("no", "without"),
    [
        ("10.1.2.3", True),
        ("10.0.0.0/8", True),
        ("10.1.2.3:80", True),
        ("10.1.2.3:81", False),
        ("11.0.0.0/8", False),
    ],
)
def test_no_proxy_addresses_and_networks(no: str, without: bool) -> None:
    assert (Proxies(None, P, P, None, no).proxy_for("http://10.1.2.3/v1") is None) is without


@pytest.mark.parametrize("upper", [True, False])
def test_settings_read_them_as_everybody_does(monkeypatch: pytest.MonkeyPatch, upper: bool) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in (("https_proxy", P), ("no_proxy", "inside.example")):
        monkeypatch.setenv(name.upper() if upper else name, value)
    settings = ModelSettings()
    assert settings.proxy_for("https://api.example/v1") == P
    assert settings.proxy_for("https://api.inside.example/v1") is None
    with pytest.raises(ValueError, match="provider_proxy"):
        ModelSettings(provider_proxy="socks5://x:1")
