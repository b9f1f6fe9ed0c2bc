import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import apsw
import pytest

from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import ClaimState
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.committer import FAILED, LEASE_LOST, TurnCommitter
from dialog_engine.turn.ports import TurnResult
from dialog_engine.turn.request import TurnRequest
from dialog_llm.provider import Piece
from dialog_voice.voice import Voice
from service_runtime.aio.background_tasks import BackgroundTasks


class Memory:
    def __init__(self) -> None:
        self.stored: list[StoredTurn] = []
        self.gate, self.broken = asyncio.Event(), False
        self.gate.set()

    async def commit(self, turn: StoredTurn) -> None:
        await self.gate.wait()
        if self.broken:
            raise apsw.FullError("disk")
        self.stored.append(turn)


class Host:
    """The engine as a turn sees it."""

    voice_files = False

    def __init__(self) -> None:
        self.disk = Memory()
        self.memory = cast(ShortTermMemory, self.disk)
        self.voice = cast(Voice, None)
        self.has_lease = True
        self.records: list[str] = []
        self.stored = 0

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        return ClaimState.ACQUIRED

    async def holds_lease(self, epoch: int) -> bool:
        return self.has_lease

    def publish(self, message: str, droppable: bool) -> None: ...

    def add_record(self, record: TurnRecord) -> None:
        self.records.append(record.reply)

    def drop_record(self, turn: int) -> None:
        self.records.pop()

    def on_stored(self) -> None:
        self.stored += 1

    def add_late_stats(self, stored: StoredTurn) -> None: ...

    def enqueue_voice_file(self, request: TtsRequest) -> None: ...

    def on_ended(self, result: TurnResult) -> None: ...


async def nothing() -> AsyncGenerator[Piece, None]:
    return
    yield ""


@pytest.fixture
async def host() -> Host:
    return Host()


@pytest.fixture
async def committer(host: Host) -> TurnCommitter:
    request = TurnRequest("s", 1, "hi", None, FlagSet(), "en", None, nothing, epoch=4)
    return TurnCommitter(request, host, BackgroundTasks())


def turn(reply: str, revision: int = 0) -> StoredTurn:
    return StoredTurn("s", 1, "hi", reply, ts=1, revision=revision)


async def test_the_next_prompt_sees_a_turn_before_it_is_durable(
    committer: TurnCommitter, host: Host
) -> None:
    outcomes: list[str | None] = []
    host.disk.gate.clear()
    committer.commit(turn("Hello."), outcomes.append)
    assert host.records == ["Hello."]
    assert (committer.stored, committer.is_number_used) == (False, True)
    host.disk.gate.set()
    await committer.wait_idle()
    assert (committer.stored, outcomes, host.stored) == (True, [None], 1)


async def test_a_later_form_is_stored_after_the_first_and_needs_no_lease(
    committer: TurnCommitter, host: Host
) -> None:
    outcomes: list[str | None] = []
    host.disk.gate.clear()
    committer.commit(turn("Hello."), outcomes.append)
    committer.commit(turn("Hel", revision=1), outcomes.append)
    await asyncio.sleep(0)
    host.disk.gate.set()
    await committer.wait_idle()
    assert [stored.reply for stored in host.disk.stored] == ["Hello.", "Hel"]
    host.has_lease = False
    committer.commit(turn("He", revision=2), outcomes.append)
    await committer.wait_idle()
    assert outcomes == [None, None, None]


async def test_without_the_lease_nothing_is_stored_and_the_prompt_does_not_see_it(
    committer: TurnCommitter, host: Host
) -> None:
    outcomes: list[str | None] = []
    host.has_lease = False
    committer.commit(turn("Hello."), outcomes.append)
    await committer.wait_idle()
    assert (outcomes, host.records, host.disk.stored) == ([LEASE_LOST], [], [])
    assert not committer.is_number_used


async def test_after_a_commit_that_failed_a_later_form_is_not_stored_either(
    committer: TurnCommitter, host: Host
) -> None:
    outcomes: list[str | None] = []
    host.disk.broken = True
    committer.commit(turn("Hello."), outcomes.append)
    await committer.wait_idle()
    host.disk.broken = False
    committer.commit(turn("Hel", revision=1), outcomes.append)
    await committer.wait_idle()
    assert (outcomes, host.records, host.disk.stored) == ([FAILED, FAILED], [], [])
    assert host.stored == 0
