import pytest

from dialog_voice.settings import VoiceSettings


def test_the_order_of_voices_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert VoiceSettings().voice_chain == ("espeak",)
    monkeypatch.setenv("VOICE_CHAIN", "openai, edge ,espeak")
    assert VoiceSettings().voice_chain == ("openai", "edge", "espeak")
