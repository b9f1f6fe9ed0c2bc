import pytest
from pydantic import ValidationError

from async_workers.settings import AnalyticsSettings, LtmWorkerSettings


def test_ports_are_those_of_the_design() -> None:
    assert (LtmWorkerSettings().port, AnalyticsSettings().port) == (8205, 8206)


def test_a_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIM_AFTER_S", "0")
    with pytest.raises(ValidationError, match="claim_after_s"):
        LtmWorkerSettings()
