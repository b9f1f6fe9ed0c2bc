"""Who writes the reply: whole, within a time, asked once more when it breaks off."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from chat_ai.generator import GenerationFailed, ReplyGenerator
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.limits import MAX_REPLY_CHARS
from dialog_contracts.session_document import FlagTable, Persona, SessionDocument
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm.errors import AllProvidersFailed, LlmError, ProviderError
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.session_models import SessionModels
from dialog_llm.settings import LlmSettings
from dialog_telemetry import metrics

CUT = ProviderError("scripted", "cut_stream")


class Scripted:
    """Each call plays the next script: pieces, and errors that end it."""

    name = "scripted"

    def __init__(self, *scripts: Sequence[str | LlmError | float]) -> None:
        self._scripts = list(scripts)
        self.asked: list[list[Message]] = []

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        self.asked.append(list(messages))
        for step in self._scripts.pop(0):
            if isinstance(step, LlmError):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


def author(llm: Scripted, *documents: SessionDocument, within_s: float = 5) -> ReplyGenerator:
    table = FlagDocuments()
    table.replace(FlagTable(revision=1, documents=list(documents)), "redis")
    return ReplyGenerator(
        SessionModels(LlmSettings(persona="You are the setting."), table, llm), within_s=within_s
    )


async def test_the_reply_is_all_the_pieces_of_one_answer() -> None:
    assert (
        await author(Scripted(["Hel", "lo ", "there."])).generate("live-001", [], "hi")
        == "Hello there."
    )


async def test_the_model_is_given_persona_history_and_words_as_on_the_main_path() -> None:
    llm = Scripted(["x"])
    mia = SessionDocument(
        session_id="live-001",
        flags=FlagSet(),
        resource="studio/live-001",
        persona=Persona(instructions="You are Mia."),
    )
    recent = [
        TurnRecord(turn=1, user="one", reply="eins", ts=1),
        TurnRecord(turn=2, user="two", reply="zw", ts=2, interrupted=True),
    ]
    await author(llm, mia).generate("live-001", recent, "three")
    assert [(message.role, message.content) for message in llm.asked[0]] == [
        ("system", "You are Mia."),
        ("user", "one"),
        ("assistant", "eins"),
        ("user", "two"),
        ("assistant", "zw… [interrupted]"),
        ("user", "three"),
    ]


async def test_a_reply_that_breaks_off_is_asked_for_anew_and_its_beginning_forgotten() -> None:
    counted = metrics.LLM_FALLBACKS.labels(provider="scripted", reason="retried")
    before = counted._value.get()
    assert (
        await author(Scripted(["She sa", CUT], ["She says yes."])).generate("s", [], "hi")
        == "She says yes."
    )
    assert counted._value.get() == before + 1


@pytest.mark.parametrize(
    ("scripts", "code"),
    [
        ([["a", CUT], ["b", CUT]], "llm_cut"),
        ([[AllProvidersFailed([("scripted", "quota")])]], "llm_unavailable"),
        ([[ProviderError("scripted", "filtered")]], "llm_refused"),
        ([["  \n"]], "llm_empty"),
        ([[]], "llm_empty"),
    ],
)
async def test_why_there_is_no_reply_is_said(
    scripts: list[list[str | LlmError | float]], code: str
) -> None:
    with pytest.raises(GenerationFailed) as problem:
        await author(Scripted(*scripts)).generate("s", [], "hi")
    assert problem.value.code == code


@pytest.mark.looptime
async def test_a_model_that_does_not_come_to_an_end_is_left() -> None:
    with pytest.raises(GenerationFailed) as problem:
        await author(Scripted(["a", 3600.0]), within_s=25).generate("s", [], "hi")
    assert problem.value.code == "llm_timeout"
    assert asyncio.get_running_loop().time() == pytest.approx(25)


async def test_what_the_next_service_would_refuse_is_made_fit_for_it() -> None:
    assert (
        await author(Scripted(["half a pair: \ud83d."])).generate("s", [], "hi")
        == "half a pair: ?."
    )
    assert (
        len(await author(Scripted(["x" * (MAX_REPLY_CHARS + 5)])).generate("s", [], "hi"))
        == MAX_REPLY_CHARS
    )
