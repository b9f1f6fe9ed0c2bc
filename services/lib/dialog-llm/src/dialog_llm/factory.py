"""Creates the language models that settings and sessions' documents name."""

from dialog_contracts.session_document import SessionLlm
from dialog_llm.fallback import FallbackLlm
from dialog_llm.provider import LlmProvider
from dialog_llm.settings import LlmSettings
from dialog_providers.egress import EgressRules
from service_runtime import plugin_loader


def build_default(settings: LlmSettings) -> LlmProvider:
    """Return the language model of the settings, a FallbackLlm where there are several.

    Raises ValueError for a name that is neither known nor importable, and where none is configured.
    """
    left_out = unconfigured(settings)
    providers = [build_named(name, settings) for name in settings.llm_chain if name not in left_out]
    if not providers:
        raise ValueError(
            "LLM_CHAIN: no language model is left; add `rules`, or set OPENAI_API_KEY or OPENAI_BASE_URL"
        )
    return providers[0] if len(providers) == 1 else FallbackLlm(providers, absent=left_out)


def build_named(name: str, settings: LlmSettings) -> LlmProvider:
    """Return one model of `LLM_CHAIN`; raises ValueError for an unknown name.

    A name that is not built in must be importable as `package.module:factory`.
    """
    if name == "rules":
        return _rules()
    if name == "openai":
        return _openai(settings, settings.openai_url(), settings.openai_key(), settings.llm_model)
    made: LlmProvider = plugin_loader.make(name, "LLM_CHAIN", ("stream",))
    return made


def unconfigured(settings: LlmSettings) -> dict[str, str]:
    """Return the models of `LLM_CHAIN` that are not configured, with the reason."""
    if (
        "openai" not in settings.llm_chain
        or settings.openai_api_key is not None
        or settings.openai_base_url is not None
    ):
        return {}
    return {"openai": "not set up: OPENAI_API_KEY or OPENAI_BASE_URL"}


def build_for_session(wanted: SessionLlm, settings: LlmSettings, key: str | None) -> LlmProvider:
    """Return the language model of a session's document."""
    if wanted.provider == "rules":
        return _rules()
    return _openai(
        settings,
        settings.openai_url(wanted.base_url),
        key or settings.openai_key(wanted.base_url),
        wanted.model or settings.llm_model,
        settings.egress_for(wanted.base_url),
    )


def _rules() -> LlmProvider:
    from dialog_llm.providers.rule_based import RuleBasedProvider

    return RuleBasedProvider()


def _openai(
    settings: LlmSettings, url: str, key: str, model: str, egress: EgressRules | None = None
) -> LlmProvider:
    # Imported only where it is used: importing the client takes a third of a second at startup.
    from dialog_llm.providers.openai import OpenAiConfig, OpenAiProvider

    return OpenAiProvider(
        OpenAiConfig(
            base_url=url,
            api_key=key,
            model=model,
            first_token_timeout_s=settings.llm_first_token_timeout_s,
            proxy=settings.proxy_for(url),
            egress=egress,
        )
    )
