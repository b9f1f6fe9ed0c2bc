import pytest
from pydantic import ValidationError

from dialog_llm.settings import PERSONA, LlmSettings


def test_the_order_of_providers_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LlmSettings().llm_chain == ("openai", "rules")
    monkeypatch.setenv("LLM_CHAIN", " mine.brain:make , rules,")
    assert LlmSettings().llm_chain == ("mine.brain:make", "rules")


def test_a_persona_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LlmSettings().persona == PERSONA
    monkeypatch.setenv("PERSONA", "x" * 8_001)
    with pytest.raises(ValidationError, match="persona"):
        LlmSettings()
