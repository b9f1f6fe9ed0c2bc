import socket

import pytest
from pydantic import ValidationError

from service_runtime.settings import ServiceSettings


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert ServiceSettings().port == 8000


def test_host_names_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "a.example, *.b.example,")
    assert ServiceSettings().allowed_hosts == ("a.example", "*.b.example")


def test_an_error_names_the_setting_and_does_not_repeat_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "sk-this-is-a-secret")
    with pytest.raises(ValidationError, match="port") as refused:
        ServiceSettings()
    assert "sk-this" not in str(refused.value)


def test_a_process_is_named_by_its_pod_or_by_machine_and_port() -> None:
    assert ServiceSettings(pod_name="asr-0").process_name == "asr-0"
    assert ServiceSettings(port=8101).process_name == f"{socket.gethostname()}:8101"
