import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, Persona, SessionDocument, SessionLlm, SessionVoice
from dialog_engine import characters, providers
from dialog_engine.characters import Characters, Kept
from dialog_engine.settings import EngineSettings
from dialog_flags.documents import Documents
from dialog_llm.openai import OpenAiProvider
from dialog_llm.provider import GenerationOptions, Message
from dialog_voice.edge import EdgeVoice
from dialog_voice.espeak import EspeakVoice
from dialog_voice.openai_speech import OpenAiSpeechVoice
from service_runtime.tasks import TaskOwner

KEY = "studio.openai.api-key.7"


class Own:
    """Stands for the engine's own model and voice."""

    name = "own"
    closed = False

    async def stream(self, messages: Sequence[Message], options: GenerationOptions) -> AsyncGenerator[str, None]:
        yield "own words"

    async def aclose(self) -> None:
        self.closed = True


def made(folder: Path, *documents: SessionDocument, **settings: object) -> Characters:
    table = Documents()
    table.replace(FlagTable(revision=1, documents=list(documents)), "redis")
    return Characters(EngineSettings(session_keys_dir=folder, **settings), table, Own(), Own())  # type: ignore[arg-type]


def document(session_id: str = "live-001", **parts: object) -> SessionDocument:
    return SessionDocument(session_id=session_id, flags=FlagSet(generation=3), resource="studio/live-001", **parts)


def test_without_a_document_everything_is_the_engines_own(tmp_path: Path) -> None:
    character = made(tmp_path, persona="You are the setting.", default_lang="ja").of("live-009")
    assert (character.instructions, character.lang, character.llm.name) == ("You are the setting.", "ja", "own")


async def test_a_document_decides_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    persona = Persona(instructions="You are Mia.")
    cast = made(
        tmp_path, document(persona=persona, llm=SessionLlm(provider="rules", max_tokens=20, temperature=0)), default_lang="ja"
    )
    character = cast.of("live-001")
    assert (character.instructions, character.lang) == ("You are Mia.", "ja")
    assert (character.options.max_tokens, character.options.temperature) == (20, 0)
    assert character.voice.name == "own"
    pieces = [piece async for piece in character.llm.stream([Message("user", "hello")], character.options)]
    assert "own words" not in pieces
    assert cast.of("live-001").llm is character.llm, "made once"
    await cast.aclose()


async def test_a_key_that_is_not_mounted_yet_is_reported_and_the_own_model_answers(tmp_path: Path) -> None:
    cast = made(tmp_path, document(llm=SessionLlm(api_key_file=KEY), voice=SessionVoice(provider="openai", api_key_file=KEY)))
    assert cast.missing_keys() == [KEY]
    assert (cast.of("live-001").llm.name, cast.of("live-001").voice.name) == ("own", "own")
    (tmp_path / KEY).write_text("sk-canary\n")
    assert cast.missing_keys() == []
    assert (cast.of("live-001").llm.name, cast.of("live-001").voice.name) == ("chain", "chain")
    await cast.aclose()


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
def test_the_engines_key_never_goes_to_an_address_that_a_session_chose(
    document_url: str | None, key: str | None, sent: str
) -> None:
    settings = EngineSettings(openai_api_key="sk-engine", openai_base_url="https://own.example/v1")
    llm = providers.session_llm(SessionLlm(base_url=document_url), settings, key)
    voice = providers.session_voice(SessionVoice(provider="openai", base_url=document_url), settings, key)
    assert isinstance(llm, OpenAiProvider)
    assert isinstance(voice, OpenAiSpeechVoice)
    for made_provider in (llm, voice):
        config = made_provider._config
        assert (config.api_key, config.base_url) == (sent, document_url or "https://own.example/v1")


def test_voices_by_name() -> None:
    settings = EngineSettings()
    espeak = providers.session_voice(SessionVoice(provider="espeak", voice_en="en-gb+m1"), settings, None)
    edge = providers.session_voice(SessionVoice(provider="edge", voice_zh="zh-CN-YunxiNeural"), settings, None)
    assert isinstance(espeak, EspeakVoice)
    assert isinstance(edge, EdgeVoice)
    assert (espeak._config.voice_en, espeak._config.voice_zh) == ("en-gb+m1", "cmn+f3")
    assert (edge._config.voice_zh, edge._config.voice_en) == ("zh-CN-YunxiNeural", settings.edge_voice_en)


async def test_what_no_session_asks_for_any_more_is_closed_after_its_last_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "KEPT", 1)
    monkeypatch.setattr(characters, "RETIRED_AFTER_S", 0)
    tasks = TaskOwner()
    kept: Kept[str, Own] = Kept(tasks)
    first, second = Own(), Own()
    assert kept.get("a", lambda: first, lambda own: own) is first
    kept.get("b", lambda: second, lambda own: own)
    while not first.closed:
        await asyncio.sleep(0)
    assert not second.closed
    await kept.aclose()
    await tasks.close()
    assert second.closed
