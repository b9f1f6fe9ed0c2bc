import pytest
from pydantic import ValidationError

from chat_ai.settings import ChatSettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert ChatSettings().port == 8202


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("GENERATION_TIMEOUT_S", "0", "generation_timeout_s"),
        ("GENERATION_CONCURRENCY", "0", "generation_concurrency"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        ChatSettings()
