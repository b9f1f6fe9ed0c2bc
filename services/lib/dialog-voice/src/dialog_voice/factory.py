"""Creates the voices that settings and sessions' documents name."""

from dataclasses import dataclass, replace

from dialog_contracts.session_document import SessionVoice
from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.fallback import FallbackVoice
from dialog_voice.settings import VoiceSettings
from dialog_voice.voice import Voice
from service_runtime import plugin_loader


@dataclass(frozen=True, slots=True)
class VoiceDependencies:
    """What voices are created with."""

    settings: VoiceSettings

    reference: ReferenceSynthesizer | None = None
    """For voices without word times; its creator closes it, after the voices."""


def build_reference() -> ReferenceSynthesizer:
    """Return the reference synthesizer for all voices of a process.

    Its own process starts with the first synthesis.
    """
    return ReferenceSynthesizer(_espeak(None, None))


def build_default(means: VoiceDependencies) -> Voice:
    """Return the voice of the settings, a FallbackVoice where there are several.

    Raises ValueError for a name that is neither known nor importable, and where none is named.
    """
    voices = [build_named(name, means) for name in means.settings.voice_chain]
    if not voices:
        raise ValueError("VOICE_CHAIN: no voice is named")
    return voices[0] if len(voices) == 1 else FallbackVoice(voices)


def build_for_session(wanted: SessionVoice, means: VoiceDependencies, key: str | None) -> Voice:
    """Return the voice of a session's document."""
    settings = means.settings
    if wanted.provider == "espeak":
        return _espeak(wanted.voice_zh, wanted.voice_en)
    if wanted.provider == "edge":
        return _edge(settings, wanted.voice_zh, wanted.voice_en)
    from dialog_voice.providers.openai.voice import OpenAiSpeechConfig, OpenAiSpeechVoice

    url = settings.openai_url(wanted.base_url)
    return OpenAiSpeechVoice(
        OpenAiSpeechConfig(
            base_url=url,
            api_key=key or settings.openai_key(wanted.base_url),
            model=wanted.model or settings.openai_voice_model,
            voice_zh=wanted.voice_zh or settings.openai_voice,
            voice_en=wanted.voice_en or settings.openai_voice,
            proxy=settings.proxy_for(url),
            egress=settings.egress_for(wanted.base_url),
        ),
        reference=means.reference,
    )


def build_named(name: str, means: VoiceDependencies) -> Voice:
    """Return one voice of `VOICE_CHAIN`; raises ValueError for an unknown name.

    A name that is not built in must be importable as `package.module:factory`.
    """
    if name == "espeak":
        return _espeak(None, None)
    if name == "edge":
        return _edge(means.settings, None, None)
    if name == "openai":
        return build_for_session(SessionVoice(provider="openai"), means, None)
    made: Voice = plugin_loader.make(name, "VOICE_CHAIN", ("synthesize",))
    return made


def _espeak(voice_zh: str | None, voice_en: str | None) -> Voice:
    from dialog_voice.providers.espeak.voice import EspeakConfig, EspeakVoice

    usual = EspeakConfig()
    return EspeakVoice(
        replace(usual, voice_zh=voice_zh or usual.voice_zh, voice_en=voice_en or usual.voice_en)
    )


def _edge(settings: VoiceSettings, voice_zh: str | None, voice_en: str | None) -> Voice:
    from dialog_voice.providers.edge.voice import ADDRESS, EdgeConfig, EdgeVoice

    return EdgeVoice(
        EdgeConfig(
            voice_zh=voice_zh or settings.edge_voice_zh,
            voice_en=voice_en or settings.edge_voice_en,
            proxy=settings.proxy_for(ADDRESS),
        )
    )
