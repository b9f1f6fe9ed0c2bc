"""Where a turn's text comes from, and which turns its prompt knows."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

from dialog_contracts.http import TurnRecord
from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.session import Session
from dialog_engine.text_source import ReplyTextSource
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.session_models import SessionModel


class Llm:
    def __init__(self) -> None:
        self.prompts: list[Sequence[Message]] = []
        self.open = 0

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(messages)
        self.open += 1
        try:
            yield "Hello "
            yield "you."
        finally:
            self.open -= 1


class History:
    """Truncates the turn that plays elsewhere to what was played."""

    def __init__(self) -> None:
        self.refreshed: list[int] = []

    async def refresh_turn(self, session: Session, turn: int) -> None:
        self.refreshed.append(turn)
        session.replace_record(record(turn, "It was a dark"))


def record(turn: int, reply: str) -> TurnRecord:
    return TurnRecord(turn=turn, user=f"question {turn}", reply=reply, ts=turn, interrupted=False)


def made(turns: int, context_turns: int = 20) -> tuple[ReplyTextSource, Session, Llm, History]:
    session, history = Session("s"), History()
    for turn in range(1, turns + 1):
        session.add_record(record(turn, f"answer {turn}"))
    source = ReplyTextSource(cast(HistorySync, history), context_turns, 1_000)
    return source, session, Llm(), history


def model(llm: Llm) -> SessionModel:
    return SessionModel("Be kind.", "en", cast(Any, llm), GenerationOptions())


async def read(text: Callable[[], AsyncGenerator[Any, None]]) -> str:
    return "".join([str(piece) async for piece in text()])


def said(llm: Llm) -> str:
    return " ".join(str(message) for message in llm.prompts[-1])


async def test_a_model_gets_the_recent_turns_and_the_message() -> None:
    source, session, llm, history = made(3, context_turns=2)
    assert await read(source.for_turn(session, model(llm), "And now?", None)) == "Hello you."
    assert "answer 1" not in said(llm)
    assert "answer 2" in said(llm)
    assert "And now?" in said(llm)
    assert history.refreshed == []


async def test_the_prompt_holds_the_turns_that_were_known_when_the_turn_began() -> None:
    source, session, llm, _ = made(1)
    text = source.for_turn(session, model(llm), "hi", None)
    session.add_record(record(2, "answer 2"))
    await read(text)
    assert "answer 2" not in said(llm)


async def test_a_text_that_is_to_be_spoken_as_it_is_asks_no_model() -> None:
    source, session, llm, _ = made(1)
    assert await read(source.for_turn(session, model(llm), "", "Good evening.")) == "Good evening."
    assert llm.prompts == []


async def test_a_turn_that_still_plays_elsewhere_is_read_as_it_was_played() -> None:
    source, session, llm, history = made(2)
    session.playing_elsewhere_turn = 2
    text = source.for_turn(session, model(llm), "hi", None)
    assert history.refreshed == [], "only once the turn runs"
    await read(text)
    assert history.refreshed == [2]
    assert "It was a dark" in said(llm)
    assert "answer 2" not in said(llm)
    await read(source.for_turn(session, model(llm), "and?", None))
    assert history.refreshed == [2], "once"


async def test_a_turn_that_is_left_closes_the_models_stream() -> None:
    source, session, llm, _ = made(1)
    session.playing_elsewhere_turn = 1
    pieces = source.for_turn(session, model(llm), "hi", None)()
    await anext(pieces)
    await pieces.aclose()
    assert llm.open == 0
