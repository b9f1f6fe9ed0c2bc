"""One history for both paths: the engine's turns go to Redis, and those that the legacy chain answered come from there."""

import asyncio
from dataclasses import replace

import structlog

from dialog_contracts.http import TurnRecord
from dialog_engine.memory_shortterm import ShortTermMemory, StoredTurn
from dialog_engine.redis_store import EngineStore
from dialog_engine.sessions.session import Session

log = structlog.get_logger("history")


class HistorySync:
    """The database stays the truth of the engine's own turns; Redis is where both paths meet."""

    def __init__(self, memory: ShortTermMemory, store: EngineStore) -> None:
        self._memory, self._store = memory, store

    async def publish(self, session: Session) -> None:
        """Put what Redis may not have yet into the session's history there."""
        records = list(session.unpublished.values())
        said = records[-1] if records and not records[-1].interrupted else None
        if await self._store.publish_history(session.session_id, records, said):
            session.published(records)

    async def import_missing(self, session: Session, turn: int) -> None:
        """Before `turn` begins: take over what was answered elsewhere under the numbers that are missing here."""
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
        """Of a stored reply only this was heard: it was cut off where nobody could ask the engine."""
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
        """A turn that was taken over while it was still spoken elsewhere: once that is over, as it was heard in the end."""
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
    )
