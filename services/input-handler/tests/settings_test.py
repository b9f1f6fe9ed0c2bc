import pytest
from pydantic import ValidationError

from dialog_contracts.http import FlagSet
from input_handler.settings import InputSettings


def test_one_engine_or_several_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIALOG_ENGINE_URL", "http://a:8100")
    assert InputSettings().dialog_engine_urls == ("http://a:8100",)
    monkeypatch.setenv("DIALOG_ENGINE_URLS", "http://a:8100, http://b:8100")
    assert InputSettings().dialog_engine_urls == ("http://a:8100", "http://b:8100")
    monkeypatch.setenv("DIALOG_ENGINE_URLS", ",")
    with pytest.raises(ValidationError, match="dialog_engine_urls"):
        InputSettings()


def test_the_pattern_of_any_engine_has_one_place_for_the_ordinal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIALOG_ENGINE_PATTERN", "http://engine-{}.engine:8100")
    assert InputSettings().dialog_engine_pattern == "http://engine-{}.engine:8100"
    monkeypatch.setenv("DIALOG_ENGINE_PATTERN", "http://engine:8100")
    with pytest.raises(ValidationError, match="dialog_engine_pattern"):
        InputSettings()


def test_flags_of_the_environment_are_those_of_every_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert InputSettings().flags() == FlagSet()
    monkeypatch.setenv("SYNC_TTS_STREAMING", "true")
    monkeypatch.setenv("ENABLE_SYNC_CORE", "false")
    assert InputSettings().flags() == FlagSet(ENABLE_SYNC_CORE=False, SYNC_TTS_STREAMING=True)
