"""State of one streamed reply: its text, the deadline of the next chunk, and its completeness.

Times are arguments; there is no I/O.
"""

from typing import Final

from dialog_llm.errors import Reason
from dialog_llm.provider import THINKING, GenerationOptions, Piece
from dialog_llm.providers.openai_chunks import DONE, Choice, Ending
from dialog_llm.thought_filter import ThoughtFilter

DRAIN_S: Final = 0.5
"""Seconds to wait for [DONE] after the finish reason: with it the connection can be reused."""


class StreamedReply:
    """Call `add` with the data of each event until there is none, or until `deadline`.

    Then call `finish`, and check `problem`.
    """

    def __init__(
        self, options: GenerationOptions, first_deadline: float, end: float, thoughts: ThoughtFilter
    ) -> None:
        self._options = options
        self._choice, self._thoughts = Choice(), thoughts
        self.deadline, self.end = first_deadline, end
        self.limit: Reason = "timeout_first_token"
        """The reason of the failure when the deadline passes."""

        self.produced = False
        self.ending: Ending | None = None
        self._done = False
        self._think_until: float | None = None
        self._texts_with_reason = self._texts = 0

    @property
    def complete(self) -> bool:
        """Whether the server has signalled the end of the reply."""
        return self._done or self.ending is not None

    def add(self, data: str, now: float) -> list[Piece]:
        """Return the pieces in an event's data. Raises what `Choice.read` raises."""
        if data.strip() == DONE:
            self._done = True
            self.deadline = now + DRAIN_S
            return []
        if self._done:
            return []
        chunk = self._choice.read(data)
        pieces: list[Piece] = []
        for text, is_thought in chunk.texts:
            said = "" if is_thought else self._on_text(self._thoughts.feed(text), now)
            if said:
                pieces.append(said)
            elif is_thought or self._thoughts.thinking:
                self._on_thought(now)
                pieces.append(THINKING)
        has_text = any(text for text, _ in chunk.texts)
        self._texts += has_text
        self._texts_with_reason += has_text and chunk.ending is not None
        self.ending = chunk.ending or self.ending
        self._set_deadline(now, ends=chunk.ending is not None)
        return pieces

    def finish(self) -> list[Piece]:
        """Return the rest of the text."""
        said = self._on_text(self._thoughts.finish(), 0.0)
        return [said] if said else []

    def problem(self) -> tuple[Reason, str] | None:
        """Return why the reply is not complete, or None."""
        if self.ending == "broken":
            return "cut_stream" if self.produced else "server_error", "the server gave the reply up"
        if self.produced:
            return (
                None
                if self.complete
                else ("cut_stream", "the stream ended without a finish reason")
            )
        if self.ending == "content_filter":
            return "filtered", ""
        if self._think_until is not None:
            ate = "; its thoughts took all of max_tokens" if self.ending == "length" else ""
            return "empty", f"nothing but thoughts{ate}"
        return "empty", ""

    def _on_text(self, text: str, now: float) -> str:
        if self.produced:
            return text
        # White space alone is not a reply.
        text = text.lstrip()
        if text:
            self.produced = True
            if self._think_until is not None:
                # The time limit of the reply begins with its first word.
                self.end = now + self._options.wall_clock_s
        return text

    def _on_thought(self, now: float) -> None:
        if self._think_until is None:
            self._think_until = now + self._options.thinking_s
            if not self.produced:
                self.end = self._think_until

    def _set_deadline(self, now: float, *, ends: bool) -> None:
        # Some servers send a finish reason with every chunk: then only [DONE] or the end of the
        # stream ends the reply.
        idly = self._texts > 0 and self._texts == self._texts_with_reason
        if ends and self.produced and not idly:
            self.deadline = now + DRAIN_S
        elif self.produced or self._think_until is not None:
            self.deadline = min(self.end, now + self._options.idle_gap_s)
            self.limit = "wall_clock" if self.deadline == self.end else "idle_gap"
