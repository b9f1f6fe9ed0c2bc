import pytest

from dialog_engine import providers
from dialog_engine.settings import EngineSettings


def settings(**values: object) -> EngineSettings:
    return EngineSettings.model_validate({"openai_api_key": None, "openai_base_url": None, **values})


def test_without_a_key_the_rules_answer() -> None:
    assert providers.llm(settings()).name == "rules"


def test_with_a_key_or_an_address_the_model_is_asked_first() -> None:
    assert providers.llm(settings(openai_api_key="sk-test")).name == "chain"
    assert providers.llm(settings(openai_base_url="http://127.0.0.1:1/v1", llm_chain="openai")).name == "openai"


def test_voices_are_tried_in_the_order_of_the_setting() -> None:
    assert providers.voice(settings()).name == "espeak"
    assert providers.voice(settings(voice_chain="edge, espeak")).name == "chain"
    assert providers.voice(settings(voice_chain="openai")).name == "openai"


def test_a_provider_of_ones_own_is_loaded_by_name() -> None:
    assert providers.llm(settings(llm_chain="dialog_llm.rules:RulesProvider")).name == "rules"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"llm_chain": "nonsense"}, "LLM_CHAIN: 'nonsense' is not known"),
        ({"llm_chain": "openai"}, "LLM_CHAIN: no language model is left"),
        ({"llm_chain": "no.such:thing"}, "LLM_CHAIN: 'no.such:thing' cannot be loaded"),
        ({"voice_chain": "dialog_voice.voice:nothing"}, "VOICE_CHAIN: 'dialog_voice.voice:nothing' cannot be loaded"),
        ({"voice_chain": ""}, "VOICE_CHAIN: no voice is named"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        providers.llm(settings(**values))
        providers.voice(settings(**values))


def test_a_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(settings(openai_api_key="sk-secret"))
