"""One session in memory: its recent turns, turn numbers, request ids and unpublished turns.

Memory equals the engine's database, apart from commits in progress. No other engine runs the
session meanwhile, because this one holds its lease.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_engine.memory_shortterm import SessionImage
from dialog_engine.turn.runner import TurnRunner

MISSING_TURN_RETRY_S: Final = 120.0
"""Seconds for which a missing turn number is looked up in Redis before each turn."""

MAX_REQUEST_IDS: Final = 1_000
"""Number of a session's latest request ids by which repeated messages are recognised."""


class Session:
    """One session. `lock` is held while a request finds or begins its turn.

    `unpublished` has the turns that Redis may lack. `requests` maps request ids to turn numbers.
    `ref_count` is the number of open requests.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.lock = asyncio.Lock()
        self.running: TurnRunner | None = None
        self.ref_count = 0
        self.loaded = False
        self.last_turn = 0
        self.requests: dict[str, int] = {}
        self.recent: deque[TurnRecord] = deque(maxlen=redis_names.HISTORY_TURNS)
        self.unpublished: dict[int, TurnRecord] = {}
        self.playing_elsewhere_turn = 0
        """An imported turn that another engine or a voice file still played; 0 for none."""
        self._reset_after = 0
        self._missing_turns: dict[int, float] = {}

    @property
    def idle(self) -> bool:
        """Whether the session may be dropped from memory."""
        return self.ref_count == 0 and self.running is None

    def load(self, image: SessionImage) -> None:
        """Set the state from the database."""
        self.last_turn, self._reset_after, self.requests = (
            image.last_turn,
            image.reset_after,
            dict(image.requests),
        )
        self.recent.extend(stored.record() for stored in image.recent)
        # After a restart Redis may lack some of these turns, so all count as unpublished.
        self.unpublished = {record.turn: record for record in self.recent}
        self.loaded = True

    def assign_turn(self, turn: int, request_id: str | None, now: float) -> None:
        """Begin a turn: its number and its request id are taken.

        Skipped numbers may have been answered by the legacy pipeline and become missing turns.
        `now` is in seconds of a monotonic clock.
        """
        for missing in range(max(self.last_turn + 1, turn - redis_names.HISTORY_TURNS), turn):
            self._missing_turns[missing] = now
        self.last_turn = max(self.last_turn, turn)
        if request_id is not None:
            self.requests[request_id] = turn
            while len(self.requests) > MAX_REQUEST_IDS:
                del self.requests[next(iter(self.requests))]

    def release_turn(self, turn: int, request_id: str | None) -> None:
        """Undo `assign_turn` for a turn that was not stored.

        The same message may be asked again under its number.
        """
        if request_id is not None and self.requests.get(request_id) == turn:
            del self.requests[request_id]
        if self.last_turn == turn:
            self.last_turn = turn - 1

    def missing_turns(self, before: int, now: float) -> set[int]:
        """Return the numbers below `before` that may have been answered elsewhere.

        A number counts as missing for MISSING_TURN_RETRY_S seconds.
        """
        self._missing_turns = {
            turn: since
            for turn, since in self._missing_turns.items()
            if now - since < MISSING_TURN_RETRY_S
        }
        fresh = range(max(self.last_turn + 1, before - redis_names.HISTORY_TURNS), before)
        return {*self._missing_turns, *fresh}

    def merge(self, records: Iterable[TurnRecord], reset_after: int) -> None:
        """Add turns that were answered elsewhere; a turn that is already known stays as it is."""
        own = {record.turn: record for record in self.recent}
        for record in records:
            self._missing_turns.pop(record.turn, None)
            own.setdefault(record.turn, record)
            if record.request_id is not None:
                self.requests.setdefault(record.request_id, record.turn)
            self.last_turn = max(self.last_turn, record.turn)
        self.recent = deque((own[turn] for turn in sorted(own)), maxlen=redis_names.HISTORY_TURNS)
        self._reset_after = max(self._reset_after, reset_after)

    def add_record(self, record: TurnRecord) -> None:
        """Add a turn that is about to be stored; it replaces an earlier revision of the turn."""
        if self.recent and self.recent[-1].turn == record.turn:
            self.recent.pop()
        self.recent.append(record)
        self.unpublished[record.turn] = record

    def replace_record(self, record: TurnRecord) -> None:
        """Replace a turn that has ended by a truncated revision."""
        known = {each.turn: each for each in self.recent}
        if record.turn in known:
            known[record.turn] = record
            self.recent = deque(known.values(), maxlen=redis_names.HISTORY_TURNS)
        if record.turn in self.unpublished:
            self.unpublished[record.turn] = record

    def published(self, records: Iterable[TurnRecord]) -> None:
        """Mark turns as published, unless they have changed since."""
        for record in records:
            if self.unpublished.get(record.turn) == record:
                del self.unpublished[record.turn]

    def drop_record(self, turn: int) -> None:
        """Remove a turn that could not be stored."""
        if self.recent and self.recent[-1].turn == turn:
            self.recent.pop()
        self.unpublished.pop(turn, None)

    def reset(self, after_turn: int) -> None:
        """Begin prompts after this turn."""
        self._reset_after = after_turn
        self.last_turn = max(self.last_turn, after_turn)

    def prompt_turns(self, count: int) -> list[TurnRecord]:
        """Return at most `count` turns for a prompt, oldest first."""
        turns = [record for record in self.recent if record.turn > self._reset_after]
        return turns[-count:] if count else []
