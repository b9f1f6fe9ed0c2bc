import pytest
from pydantic import ValidationError

from output_handler.settings import OutputSettings


def test_the_defaults_are_valid_and_the_port_is_the_services_own() -> None:
    assert OutputSettings().port == 8002


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("VIEWER_QUEUE_MS", "100", "viewer_queue_ms"),
        ("VIEWER_SEND_TIMEOUT_S", "0", "viewer_send_timeout_s"),
        ("LINGER_S", "-1", "linger_s"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=field):
        OutputSettings()
