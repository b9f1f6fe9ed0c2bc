import pytest
from pydantic import ValidationError

from vtuber_operator.settings import OperatorSettings


@pytest.mark.parametrize(
    ("written", "namespaces"), [("", ()), ("b, a,b,", ("a", "b")), (" studio ", ("studio",))]
)
def test_watched_namespaces_are_a_list_without_repetitions(
    written: str, namespaces: tuple[str, ...]
) -> None:
    assert OperatorSettings(watch_namespaces=written).namespaces() == namespaces


@pytest.mark.parametrize("names", [("FULL_RESYNC_S", "AUDIT_S")])
def test_a_renamed_setting_answers_to_both_names(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    for name in names:
        with monkeypatch.context() as environment:
            environment.setenv(name, "77")
            assert OperatorSettings().full_resync_s == 77


def test_a_value_out_of_range_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESYNC_S", "0")
    with pytest.raises(ValidationError, match="resync_s"):
        OperatorSettings()
