import pytest

from dialog_contracts.session_document import SessionVoice
from dialog_voice import factory
from dialog_voice.factory import VoiceDependencies
from dialog_voice.providers.edge.voice import EdgeVoice
from dialog_voice.providers.espeak.voice import EspeakVoice
from dialog_voice.providers.openai.voice import OpenAiSpeechVoice
from dialog_voice.settings import VoiceSettings


def settings(**values: object) -> VoiceSettings:
    return VoiceSettings.model_validate({"openai_api_key": None, "openai_base_url": None, **values})


def means(**values: object) -> VoiceDependencies:
    return VoiceDependencies(settings(**values))


def test_voices_are_tried_in_the_order_of_the_setting() -> None:
    assert factory.build_default(means()).name == "espeak"
    assert factory.build_default(means(voice_chain="edge, espeak")).name == "chain"
    assert factory.build_default(means(voice_chain="openai")).name == "openai"


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (
            "dialog_voice.voice:nothing",
            "VOICE_CHAIN: 'dialog_voice.voice:nothing' cannot be loaded",
        ),
        ("", "VOICE_CHAIN: no voice is named"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(chain: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        factory.build_default(means(voice_chain=chain))


def test_voices_of_sessions_by_name() -> None:
    espeak = factory.build_for_session(
        SessionVoice(provider="espeak", voice_en="en-gb+m1"), means(), None
    )
    edge = factory.build_for_session(
        SessionVoice(provider="edge", voice_zh="zh-CN-YunxiNeural"), means(), None
    )
    assert isinstance(espeak, EspeakVoice)
    assert isinstance(edge, EdgeVoice)
    assert (espeak._config.voice_en, espeak._config.voice_zh) == ("en-gb+m1", "cmn+f3")
    assert (edge._config.voice_zh, edge._config.voice_en) == (
        "zh-CN-YunxiNeural",
        settings().edge_voice_en,
    )


def test_voices_without_word_times_share_a_reader() -> None:
    reader = factory.build_reference()
    shared = VoiceDependencies(settings(voice_chain="openai"), reader)
    own, of_session = (
        factory.build_default(shared),
        factory.build_for_session(SessionVoice(provider="openai"), shared, "sk-session"),
    )
    assert isinstance(own, OpenAiSpeechVoice)
    assert isinstance(of_session, OpenAiSpeechVoice)
    assert own._reference is of_session._reference is reader


@pytest.mark.parametrize(
    ("document_url", "key", "sent"),
    [
        (None, None, "sk-engine"),
        (None, "sk-session", "sk-session"),
        ("https://elsewhere.example/v1", None, "none"),
        ("https://own.example/v1", None, "sk-engine"),
    ],
)
def test_the_services_key_never_goes_to_an_address_that_a_session_chose(
    document_url: str | None, key: str | None, sent: str
) -> None:
    own = means(openai_api_key="sk-engine", openai_base_url="https://own.example/v1")
    made = factory.build_for_session(
        SessionVoice(provider="openai", base_url=document_url), own, key
    )
    assert isinstance(made, OpenAiSpeechVoice)
    assert (made._config.api_key, made._config.base_url) == (
        sent,
        document_url or "https://own.example/v1",
    )
