import pytest
from pydantic import ValidationError

from dialog_engine.settings import EngineSettings


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPUT_INGEST_URLS", " ws://a/ws/ingest/tts, ws://b/ws/ingest/tts ,")
    monkeypatch.setenv("LLM_CHAIN", "openai,rules")
    monkeypatch.setenv("VOICE_CHAIN", "edge, espeak")
    settings = EngineSettings()
    assert settings.output_ingest_urls == ("ws://a/ws/ingest/tts", "ws://b/ws/ingest/tts")
    assert (settings.llm_chain, settings.voice_chain) == (("openai", "rules"), ("edge", "espeak"))


@pytest.mark.parametrize(
    ("pod", "ordinal", "expected"),
    [
        (None, None, 0),
        ("vtuber-dialog-engine-3", None, 3),
        ("vtuber-dialog-engine-3", 5, 5),
        ("engine", None, 0),
    ],
)
def test_the_ordinal_is_the_set_one_or_that_of_the_pods_name(
    pod: str | None, ordinal: int | None, expected: int
) -> None:
    assert EngineSettings(pod_name=pod, engine_ordinal=ordinal).ordinal == expected


def test_a_value_out_of_range_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RUNNING_TURNS", "0")
    with pytest.raises(ValidationError, match="max_running_turns") as refused:
        EngineSettings()
    assert "input_value" not in str(refused.value)
