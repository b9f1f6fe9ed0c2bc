import pytest

from dialog_contracts.session_document import SessionLlm
from dialog_llm import factory
from dialog_llm.providers.openai import OpenAiProvider
from dialog_llm.settings import LlmSettings


def settings(**values: object) -> LlmSettings:
    return LlmSettings.model_validate({"openai_api_key": None, "openai_base_url": None, **values})


def test_without_a_key_the_rules_answer() -> None:
    assert factory.build_default(settings()).name == "rules"


def test_with_a_key_or_an_address_the_model_is_asked_first() -> None:
    assert factory.build_default(settings(openai_api_key="sk-test")).name == "chain"
    assert (
        factory.build_default(
            settings(openai_base_url="http://127.0.0.1:1/v1", llm_chain="openai")
        ).name
        == "openai"
    )


def test_a_provider_of_ones_own_is_loaded_by_name() -> None:
    assert (
        factory.build_default(
            settings(llm_chain="dialog_llm.providers.rule_based:RuleBasedProvider")
        ).name
        == "rules"
    )


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ("nonsense", "LLM_CHAIN: 'nonsense' is not known"),
        ("openai", "LLM_CHAIN: no language model is left"),
        ("no.such:thing", "LLM_CHAIN: 'no.such:thing' cannot be loaded"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(chain: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        factory.build_default(settings(llm_chain=chain))


@pytest.mark.parametrize(
    ("document_url", "key", "sent"),
    [
        (None, None, "sk-engine"),
        (None, "sk-session", "sk-session"),
        ("https://elsewhere.example/v1", None, "none"),
        ("https://elsewhere.example/v1", "sk-session", "sk-session"),
        ("https://own.example/v1", None, "sk-engine"),
    ],
)
def test_the_services_key_never_goes_to_an_address_that_a_session_chose(
    document_url: str | None, key: str | None, sent: str
) -> None:
    own = settings(openai_api_key="sk-engine", openai_base_url="https://own.example/v1")
    made = factory.build_for_session(SessionLlm(base_url=document_url), own, key)
    assert isinstance(made, OpenAiProvider)
    assert (made._config.api_key, made._config.base_url) == (
        sent,
        document_url or "https://own.example/v1",
    )


def test_a_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(settings(openai_api_key="sk-secret"))
