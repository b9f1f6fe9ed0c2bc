"""STOP, PAUSE and RESUME for a session that does not sound here: every engine is asked, and the one that speaks in it acts."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog

from dialog_contracts.ingest import PlaybackControl, Stop, StopOutcome, StopResult
from output_handler.ingest.connection import EngineConnection

log = structlog.get_logger("stop")

QUERY_TIMEOUT_S: Final = 0.3
_WEIGHT: Final[dict[StopOutcome, int]] = {
    "stopped": 3,
    "refused": 2,
    "nothing_sounding": 1,
    "unknown": 0,
}


@dataclass(slots=True)
class _PendingQuery:
    waiting: set[EngineConnection]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: StopOutcome = "unknown"
    turn: int | None = None

    def add(self, engine: EngineConnection, answer: StopResult | None) -> None:
        self.waiting.discard(engine)
        if answer is not None and _WEIGHT[answer.outcome] > _WEIGHT[self.outcome]:
            self.outcome, self.turn = answer.outcome, answer.turn
        if self.outcome == "stopped" or not self.waiting:
            self.done.set()


class ControlQuery:
    """`engines` is the set of those that are connected; they answer by `answered`."""

    def __init__(self, engines: Collection[EngineConnection]) -> None:
        self._engines = engines
        self._pending: dict[str, _PendingQuery] = {}

    async def broadcast(self, asked: Stop | PlaybackControl) -> tuple[StopOutcome, int | None]:
        """What the engines say, the weightiest answer of all, and of which turn; an engine that does not answer in time says nothing."""
        inquiry, name = _PendingQuery(set(self._engines)), uuid4().hex
        if not inquiry.waiting:
            return "unknown", None
        self._pending[name] = inquiry
        frame = asked.model_copy(update={"ask": name}).to_json()
        for engine in inquiry.waiting:
            engine.send(frame)
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                await inquiry.done.wait()
        except TimeoutError:
            log.warning(
                "stop_query_timed_out", session=asked.session_id, engines=len(inquiry.waiting)
            )
        finally:
            del self._pending[name]
        return inquiry.outcome, inquiry.turn

    def on_result(self, engine: EngineConnection, frame: StopResult) -> None:
        """An engine says what became of a STOP."""
        inquiry = self._pending.get(frame.ask)
        if inquiry is not None:
            inquiry.add(engine, frame)

    def engine_left(self, engine: EngineConnection) -> None:
        """It will not answer any more."""
        for inquiry in list(self._pending.values()):
            inquiry.add(engine, None)
