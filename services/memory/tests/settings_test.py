import pytest
from pydantic import ValidationError

from memory.settings import MemorySettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert MemorySettings().port == 8201


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("CONTEXT_MESSAGES", "0", "context_messages"),
        ("CONTEXT_TTL_S", "5", "context_ttl_s"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        MemorySettings()
