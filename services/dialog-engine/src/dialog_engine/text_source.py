"""Where a turn's text comes from: a language model with the session's recent turns, or whoever asked for it to be said."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from dialog_contracts.http import TurnRecord
from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.session import Session
from dialog_llm import prompt
from dialog_llm.provider import Piece
from dialog_llm.session_models import SessionModel


class ReplyTextSource:
    """`of` is called when a turn begins, and what it gives once the turn runs."""

    def __init__(self, history: HistorySync, context_turns: int) -> None:
        self._history, self._context_turns = history, context_turns

    def for_turn(
        self, session: Session, model: SessionModel, user_text: str, said: str | None
    ) -> Callable[[], AsyncGenerator[Piece, None]]:
        """`said`: to be spoken as it is. The prompt holds the session's turns as they are now; of one that another engine or a voice file
        still speaks, as it was heard in the end.
        """
        spoken, session.playing_elsewhere_turn = session.playing_elsewhere_turn, 0
        recent = session.prompt_turns(self._context_turns)

        def answer(turns: Sequence[TurnRecord]) -> AsyncGenerator[Piece, None]:
            return model.llm.stream(
                prompt.build(model.instructions, turns, user_text), model.options
            )

        async def verbatim() -> AsyncGenerator[Piece, None]:
            yield said or ""

        async def after_playback() -> AsyncGenerator[Piece, None]:
            # Our START cuts it off, and then it is said what was heard.
            await self._history.refresh_turn(session, spoken)
            async with aclosing(answer(session.prompt_turns(self._context_turns))) as pieces:
                async for piece in pieces:
                    yield piece

        if said is not None:
            return verbatim
        return after_playback if spoken else lambda: answer(recent)
