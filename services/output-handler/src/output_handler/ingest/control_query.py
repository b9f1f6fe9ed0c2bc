"""STOP, PAUSE and RESUME for a session that does not play here.

All engines get the request with an id (`ask`). The engine that plays the session acts; each engine
answers with its outcome. The strongest outcome is the answer, at the latest after 300 ms.
"""

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
    """`engines` is the live set of connected engines; their answers come by `on_result`."""

    def __init__(self, engines: Collection[EngineConnection]) -> None:
        self._engines = engines
        self._pending: dict[str, _PendingQuery] = {}

    async def broadcast(self, asked: Stop | PlaybackControl) -> tuple[StopOutcome, int | None]:
        """Return the strongest outcome of all engines, and the turn it concerns.

        An engine that does not answer in time has no outcome.
        """
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
        """Take an engine's outcome."""
        inquiry = self._pending.get(frame.ask)
        if inquiry is not None:
            inquiry.add(engine, frame)

    def engine_left(self, engine: EngineConnection) -> None:
        """Stop waiting for an engine."""
        for inquiry in list(self._pending.values()):
            inquiry.add(engine, None)
