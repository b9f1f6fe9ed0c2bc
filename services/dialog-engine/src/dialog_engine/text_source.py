"""Source of a turn's text: the language model with the recent turns, or the text of a SAY."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from dialog_contracts.http import TurnRecord
from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.session import Session
from dialog_llm import prompt
from dialog_llm.provider import Piece
from dialog_llm.session_models import SessionModel


class ReplyTextSource:
    """Builds the text source of each turn.

    `context_turns` and `context_tokens`: largest number of recent turns in a prompt, and of their
    tokens.
    """

    def __init__(self, history: HistorySync, context_turns: int, context_tokens: int) -> None:
        self._history, self._context_turns = history, context_turns
        self._context_tokens = context_tokens

    def for_turn(
        self, session: Session, model: SessionModel, user_text: str, said: str | None
    ) -> Callable[[], AsyncGenerator[Piece, None]]:
        """Return a function that opens the stream of the reply.

        With `said` the stream is this text. Otherwise the prompt is built from the session's turns
        as they are now. One of them may still play in another engine or from a voice file. The
        stream then first waits, for a moment, until the played text of that turn is known.
        """
        spoken, session.playing_elsewhere_turn = session.playing_elsewhere_turn, 0
        recent = session.prompt_turns(self._context_turns)

        def answer(turns: Sequence[TurnRecord]) -> AsyncGenerator[Piece, None]:
            return model.llm.stream(
                prompt.build(
                    model.instructions, turns, user_text, context_tokens=self._context_tokens
                ),
                model.options,
            )

        async def verbatim() -> AsyncGenerator[Piece, None]:
            yield said or ""

        async def after_playback() -> AsyncGenerator[Piece, None]:
            # START of this turn interrupts the other one; its played text is stored after that.
            await self._history.refresh_turn(session, spoken)
            async with aclosing(answer(session.prompt_turns(self._context_turns))) as pieces:
                async for piece in pieces:
                    yield piece

        if said is not None:
            return verbatim
        return after_playback if spoken else lambda: answer(recent)
