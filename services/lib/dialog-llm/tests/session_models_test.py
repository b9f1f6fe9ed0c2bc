from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, Persona, SessionDocument, SessionLlm
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.session_models import SessionModels
from dialog_llm.settings import LlmSettings

KEY = "studio.openai.api-key.7"


class Own:
    """Stands for the service's own model."""

    name = "own"

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        yield "own words"

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


def made(folder: Path, *documents: SessionDocument, **settings: object) -> SessionModels:
    table = FlagDocuments()
    table.replace(FlagTable(revision=1, documents=list(documents)), "redis")
    return SessionModels(
        LlmSettings.model_validate({"session_keys_dir": folder, **settings}), table, Own()
    )


def document(**parts: object) -> SessionDocument:
    return SessionDocument(
        session_id="live-001", flags=FlagSet(generation=3), resource="studio/live-001", **parts
    )


def test_without_a_document_everything_is_the_services_own(tmp_path: Path) -> None:
    brain = made(tmp_path, persona="You are the setting.", default_lang="ja").for_session(
        "live-009"
    )
    assert (brain.instructions, brain.lang, brain.llm.name) == ("You are the setting.", "ja", "own")


async def test_a_document_decides_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    llm = SessionLlm(provider="rules", max_tokens=20, temperature=0)
    brains = made(
        tmp_path, document(persona=Persona(instructions="You are Mia."), llm=llm), default_lang="ja"
    )
    brain = brains.for_session("live-001")
    assert (brain.instructions, brain.lang) == ("You are Mia.", "ja")
    assert (brain.options.max_tokens, brain.options.temperature) == (20, 0)
    pieces = [piece async for piece in brain.llm.stream([Message("user", "hello")], brain.options)]
    assert "own words" not in pieces
    assert brains.for_session("live-001").llm is brain.llm, "made once"
    await brains.aclose()


async def test_a_key_that_is_not_mounted_yet_is_reported_and_the_own_model_answers(
    tmp_path: Path,
) -> None:
    brains = made(tmp_path, document(llm=SessionLlm(api_key_file=KEY)))
    assert brains.missing_keys() == [KEY]
    assert brains.for_session("live-001").llm.name == "own"
    (tmp_path / KEY).write_text("sk-canary\n")
    assert brains.missing_keys() == []
    assert brains.for_session("live-001").llm.name == "chain"
    await brains.aclose()
