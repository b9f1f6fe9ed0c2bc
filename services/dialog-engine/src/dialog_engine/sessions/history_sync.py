"""Exchange of turns with the legacy pipeline and other engines, through the history in Redis.

The engine's database is authoritative for its own turns. They are published to Redis after each
commit. Turn numbers that are missing here may have been answered elsewhere; such turns are imported
before the next turn begins.
"""

import asyncio
from dataclasses import replace

import structlog

from dialog_contracts.http import TurnRecord
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import EngineStore
from dialog_engine.sessions.session import Session
from dialog_engine.stored_turn import StoredTurn

log = structlog.get_logger("history")


class HistorySync:
    """Publishes and imports turns; an unavailable Redis delays both until a later turn."""

    def __init__(self, memory: ShortTermMemory, store: EngineStore) -> None:
        self._memory, self._store = memory, store

    async def publish(self, session: Session) -> None:
        """Write all unpublished turns of the session to Redis."""
        records = list(session.unpublished.values())
        said = records[-1] if records and not records[-1].interrupted else None
        if await self._store.publish_history(session.session_id, records, said):
            session.published(records)

    async def import_missing(self, session: Session, turn: int) -> None:
        """Before `turn` begins, import the turns whose numbers are missing here.

        Notes in the session whether one of them still plays. Raises apsw.Error.
        """
        holes = session.missing_turns(turn, asyncio.get_running_loop().time())
        if not holes:
            return
        found = await self._store.turns_since(session.session_id, min(holes) - 1)
        if found is None:
            return
        records = [record for record in found[0] if record.turn in holes]
        for record in records:
            await self._memory.commit(_stored(session.session_id, record))
        session.merge(records, found[1])
        if records:
            session.playing_elsewhere_turn = await self._store.playing_turn(session.session_id)
            log.info(
                "adopted", session=session.session_id, turns=[record.turn for record in records]
            )

    async def truncate_turn(
        self, session_id: str, turn: int, played_text: str, session: Session | None
    ) -> None:
        """Truncate a stored reply to its played text.

        For turns that were interrupted where no engine could be queried. Does nothing if the text
        is not the beginning of the stored reply. Raises apsw.Error.
        """
        stored = await self._memory.find(session_id, turn)
        if (
            stored is None
            or stored.reply == played_text
            or not stored.reply.startswith(played_text)
        ):
            return
        shorter = replace(stored, reply=played_text, interrupted=True, revision=stored.revision + 1)
        await self._memory.commit(shorter)
        if session is not None:
            session.replace_record(shorter.record())
        log.info("turn_truncated", session=session_id, turn=turn, heard_chars=len(played_text))

    async def refresh_turn(self, session: Session, turn: int) -> None:
        """Wait until a turn has stopped playing elsewhere, then take over its played text.

        The wait is limited to 0.3 s. Raises apsw.Error.
        """
        await self._store.wait_until_stopped(session.session_id, turn)
        found = await self._store.turns_since(session.session_id, turn - 1)
        for record in found[0] if found is not None else []:
            if record.turn == turn and record.interrupted:
                await self._memory.commit(replace(_stored(session.session_id, record), revision=1))
                session.replace_record(record)


def _stored(session_id: str, record: TurnRecord) -> StoredTurn:
    return StoredTurn(
        session_id=session_id,
        turn=record.turn,
        user=record.user,
        reply=record.reply,
        ts=record.ts,
        request_id=record.request_id,
        interrupted=record.interrupted,
        shape=(len(record.reply),),
        path=record.path,
        # The engine that ran a turn of the main path has stored its events; a turn of the legacy
        # pipeline gets them from the engine that imports it.
        events=record.path == "legacy" and bool(record.streams_outbox),
        vectorize=bool(record.vectorize),
        viewer_id=record.viewer_id,
        lang=record.lang,
        traceparent=record.traceparent,
    )
