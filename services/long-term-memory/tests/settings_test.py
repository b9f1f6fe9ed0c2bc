import pytest
from pydantic import ValidationError

from long_term_memory.settings import LtmSettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert LtmSettings().port == 8204


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("MAX_MEMORIES_PER_USER", "0", "max_memories_per_user"),
        ("RETENTION_DAYS", "0", "retention_days"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        LtmSettings()
