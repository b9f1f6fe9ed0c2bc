import pytest
from pydantic import ValidationError

from asr.settings import AsrSettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert AsrSettings().port == 8101


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("MAX_UTTERANCE_S", "31", "max_utterance_s"),
        ("END_SILENCE_MS", "100", "end_silence_ms"),
        ("MAX_MICROPHONES", "0", "max_microphones"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        AsrSettings()
