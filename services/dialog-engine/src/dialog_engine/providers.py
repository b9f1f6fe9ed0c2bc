"""Makes the chains of language models and voices that the settings name."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from dialog_contracts.session_document import SessionLlm, SessionVoice
from dialog_engine.settings import EngineSettings
from dialog_llm.chain import LlmChain
from dialog_llm.provider import LlmProvider
from dialog_voice.chain import VoiceChain
from dialog_voice.voice import Voice

OPENAI_URL: Final = "https://api.openai.com/v1"


def llm(settings: EngineSettings) -> LlmProvider:
    """The chain of language models; raises ValueError for a name that is neither known nor importable."""
    providers: list[LlmProvider] = []
    for name in settings.llm_chain:
        if name == "rules":
            from dialog_llm.rules import RulesProvider

            providers.append(RulesProvider())
        elif name == "openai":
            if settings.openai_api_key is not None or settings.openai_base_url is not None:
                providers.append(_openai_llm(settings))
        else:
            providers.append(_own(name, "LLM_CHAIN")())
    if not providers:
        raise ValueError("LLM_CHAIN: no language model is left; add `rules`, or set OPENAI_API_KEY or OPENAI_BASE_URL")
    return providers[0] if len(providers) == 1 else LlmChain(providers)


def voice(settings: EngineSettings) -> Voice:
    """The chain of voices; raises ValueError for a name that is neither known nor importable."""
    voices: list[Voice] = [_voice(name, settings) for name in settings.voice_chain]
    if not voices:
        raise ValueError("VOICE_CHAIN: no voice is named")
    return voices[0] if len(voices) == 1 else VoiceChain(voices)


def session_llm(wanted: SessionLlm, settings: EngineSettings, key: str | None) -> LlmProvider:
    """The language model of a session's document."""
    if wanted.provider == "rules":
        from dialog_llm.rules import RulesProvider

        return RulesProvider()
    from dialog_llm.openai import OpenAiConfig, OpenAiProvider

    return OpenAiProvider(
        OpenAiConfig(
            base_url=wanted.base_url or settings.openai_base_url or OPENAI_URL,
            api_key=key or _own_key(settings, wanted.base_url),
            model=wanted.model or settings.llm_model,
            first_token_timeout_s=settings.llm_first_token_timeout_s,
        )
    )


def session_voice(wanted: SessionVoice, settings: EngineSettings, key: str | None) -> Voice:
    """The voice of a session's document."""
    if wanted.provider == "espeak":
        from dialog_voice.espeak import EspeakConfig, EspeakVoice

        own = EspeakConfig()
        return EspeakVoice(replace(own, voice_zh=wanted.voice_zh or own.voice_zh, voice_en=wanted.voice_en or own.voice_en))
    if wanted.provider == "edge":
        from dialog_voice.edge import EdgeConfig, EdgeVoice

        return EdgeVoice(
            EdgeConfig(voice_zh=wanted.voice_zh or settings.edge_voice_zh, voice_en=wanted.voice_en or settings.edge_voice_en)
        )
    from dialog_voice.openai_speech import OpenAiSpeechConfig, OpenAiSpeechVoice

    return OpenAiSpeechVoice(
        OpenAiSpeechConfig(
            base_url=wanted.base_url or settings.openai_base_url or OPENAI_URL,
            api_key=key or _own_key(settings, wanted.base_url),
            model=wanted.model or settings.openai_voice_model,
            voice_zh=wanted.voice_zh or settings.openai_voice,
            voice_en=wanted.voice_en or settings.openai_voice,
        )
    )


def _own_key(settings: EngineSettings, foreign_url: str | None) -> str:
    """The engine's key, but never for an address that a session's author chose."""
    if settings.openai_api_key is None or (foreign_url is not None and foreign_url != settings.openai_base_url):
        return "none"
    return settings.openai_api_key.get_secret_value()


def _openai_llm(settings: EngineSettings) -> LlmProvider:
    from dialog_llm.openai import OpenAiConfig, OpenAiProvider

    return OpenAiProvider(
        OpenAiConfig(
            base_url=settings.openai_base_url or OPENAI_URL,
            api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key is not None else "none",
            model=settings.llm_model,
            first_token_timeout_s=settings.llm_first_token_timeout_s,
        )
    )


def _voice(name: str, settings: EngineSettings) -> Voice:
    if name == "espeak":
        from dialog_voice.espeak import EspeakConfig, EspeakVoice

        return EspeakVoice(EspeakConfig())
    if name == "edge":
        from dialog_voice.edge import EdgeConfig, EdgeVoice

        return EdgeVoice(EdgeConfig(voice_zh=settings.edge_voice_zh, voice_en=settings.edge_voice_en))
    if name == "openai":
        from dialog_voice.openai_speech import OpenAiSpeechConfig, OpenAiSpeechVoice

        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key is not None else "none"
        return OpenAiSpeechVoice(
            OpenAiSpeechConfig(
                base_url=settings.openai_base_url or OPENAI_URL,
                api_key=key,
                model=settings.openai_voice_model,
                voice_zh=settings.openai_voice,
                voice_en=settings.openai_voice,
            )
        )
    made: Voice = _own(name, "VOICE_CHAIN")()
    return made


def _own(name: str, setting: str) -> Callable[[], Any]:
    """The factory at `package.module:attribute`."""
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ValueError(f"{setting}: {name!r} is not known; write package.module:factory for one of your own")
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{setting}: {name!r} cannot be loaded: {error}") from error
    return factory
