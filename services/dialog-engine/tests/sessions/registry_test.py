import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.sessions import registry as module
from dialog_engine.sessions.registry import SessionRegistry
from dialog_engine.stored_turn import StoredTurn


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[ShortTermMemory]:
    file = database(tmp_path / "turns.db")
    await file.open()
    yield ShortTermMemory(file)
    await file.close()


async def test_a_session_is_read_from_the_database_once_however_many_ask_at_the_same_time(
    memory: ShortTermMemory,
) -> None:
    await memory.commit(StoredTurn("live-001", 4, "hello", "hi", ts=1, request_id="r-4"))
    sessions, loads = SessionRegistry(memory), 0
    load = memory.load

    async def counted(session_id: str, turns: int, requests: int) -> object:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return await load(session_id, turns, requests)

    memory.load = counted  # type: ignore[method-assign,assignment]

    async def ask() -> tuple[int, dict[str, int]]:
        async with sessions.checkout("live-001") as session:
            return session.last_turn, session.requests

    assert list(await asyncio.gather(ask(), ask(), ask())) == [(4, {"r-4": 4})] * 3
    assert loads == 1


async def test_the_least_recently_used_idle_sessions_are_forgotten_and_one_in_use_never(
    memory: ShortTermMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_IDLE_SESSIONS", 2)
    sessions = SessionRegistry(memory)
    async with sessions.checkout("held"):
        for name in ("a", "b", "c"):
            async with sessions.checkout(name):
                pass
        assert sessions.find("held") is not None
        assert sessions.find("a") is None
        assert sessions.find("c") is not None
