import pytest
from pydantic import ValidationError

from tts.settings import TtsSettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert TtsSettings().port == 8203


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("SYNTHESIS_TIMEOUT_S", "0", "synthesis_timeout_s"),
        ("SYNTHESIS_CONCURRENCY", "0", "synthesis_concurrency"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        TtsSettings()
