from collections.abc import AsyncGenerator
from pathlib import Path

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, Persona, SessionDocument, SessionVoice
from dialog_flags.flag_documents import FlagDocuments
from dialog_voice.registry import SessionVoices
from dialog_voice.settings import VoiceSettings
from dialog_voice.voice import VoiceAudio

KEY = "studio.openai.api-key.7"


class Own:
    """Stands for the service's own voice."""

    name = "own"

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        yield VoiceAudio(b"\0\0")

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


def made(folder: Path, **parts: object) -> SessionVoices:
    table = FlagDocuments()
    document = SessionDocument(
        session_id="live-001", flags=FlagSet(generation=3), resource="studio/live-001", **parts
    )
    table.replace(FlagTable(revision=1, documents=[document]), "redis")
    return SessionVoices(VoiceSettings(session_keys_dir=folder, default_lang="ja"), table, Own())


async def test_a_session_speaks_with_its_own_voice_once_its_key_is_there(tmp_path: Path) -> None:
    voices = made(tmp_path, voice=SessionVoice(provider="openai", api_key_file=KEY))
    assert voices.for_session("live-009").name == "own"
    assert voices.missing_keys() == [KEY]
    assert voices.for_session("live-001").name == "own"
    (tmp_path / KEY).write_text("sk-canary\n")
    assert voices.missing_keys() == []
    assert voices.for_session("live-001").name == "chain"
    assert voices.for_session("live-001") is voices.for_session("live-001"), "made once"
    await voices.aclose()


async def test_a_text_that_shows_no_language_has_its_personas(tmp_path: Path) -> None:
    voices = made(tmp_path, persona=Persona(lang="de"))
    assert [voices.language_for("live-001", "?!"), voices.language_for("live-009", "?!")] == [
        "de",
        "ja",
    ]
    assert voices.language_for("live-001", "你好") == "zh"
    await voices.warm()
    await voices.aclose()
