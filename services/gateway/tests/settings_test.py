import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings


def test_networks_and_origins_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.7")
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example,https://b.example")
    settings = GatewaySettings()
    assert [str(network) for network in settings.trusted_proxies] == [
        "10.0.0.0/8",
        "192.168.1.7/32",
    ]
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


def test_what_is_no_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "my-proxy")
    with pytest.raises(ValidationError, match="trusted_proxies"):
        GatewaySettings()


@pytest.mark.parametrize(
    ("name", "persona", "shown"),
    [("Luna", None, "Luna"), (None, None, "default"), (None, "You are Luna.", "")],
)
def test_a_character_of_ones_own_is_not_called_by_the_default_name(
    name: str | None, persona: str | None, shown: str
) -> None:
    assert GatewaySettings(character_name=name, persona=persona).character == shown
