import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from async_workers.analytics.store import AnalyticsStore, analytics_database
from dialog_contracts.event_id import event_id
from dialog_contracts.outbox import OutboxEvent
from dialog_sqlite.database import Database


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    opened = analytics_database(tmp_path / "analytics.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def store(file: Database) -> AnalyticsStore:
    return AnalyticsStore(file)


def event(kind: str, payload: dict[str, Any], turn: int = 1, **changes: Any) -> OutboxEvent:
    key = (kind, turn, sorted(payload.items()), sorted(changes.items()))
    return OutboxEvent.model_validate(
        {
            "eventId": event_id(1_790_000_000_000, key),
            "correlationId": f"live-001#{turn}",
            "sessionId": "live-001",
            "turn": turn,
            "type": kind,
            "payload": payload,
            "ts": 1_790_000_000 + turn,
            **changes,
        }
    )


def stats(turn: int = 1, **figures: Any) -> OutboxEvent:
    return event("AnalyticsChatStats", {"ttft_ms": 100.0, "tokens": 5, **figures}, turn)


def stopped(turn: int = 1, revision: int = 1) -> OutboxEvent:
    payload = {"heardText": "今晚", "text": "?", "vectorize": False, "revision": revision}
    return event("TurnInterrupted", payload, turn)


async def test_an_event_that_comes_again_counts_once(store: AnalyticsStore) -> None:
    assert await store.apply([stats(), stats()]) == 1
    assert await store.apply([stats()]) == 0
    [figures] = (await store.report("live-001")).sessions
    assert (figures.turns, figures.interrupted) == (1, 0)


EVENTS = [stats(), stats(first_audio_ms=222.0), stopped(revision=1), stopped(revision=0)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_events_of_a_turn_give_the_same_figures_in_any_order(
    store: AnalyticsStore, order: tuple[int, ...]
) -> None:
    for at in order:
        await store.apply([EVENTS[at]])
    [figures] = (await store.report("live-001")).sessions
    assert (figures.turns, figures.interrupted) == (1, 1)
    assert (figures.first_audio_p95_ms, figures.ttft_p50_ms) == (222.0, 100.0)


async def test_percentiles_are_those_of_the_turns(store: AnalyticsStore) -> None:
    audio = [float(each) for each in range(1, 101)]
    random.Random(3).shuffle(audio)
    await store.apply([stats(turn, first_audio_ms=ms) for turn, ms in enumerate(audio, 1)])
    [figures] = (await store.report("live-001")).sessions
    assert (figures.first_audio_p50_ms, figures.first_audio_p95_ms) == (50.0, 95.0)
    assert [each.turn for each in figures.recent] == list(range(1, 101))


async def test_sessions_are_listed_the_latest_first_and_unknown_ones_are_empty(
    store: AnalyticsStore,
) -> None:
    await store.apply([stats(1)])
    await store.apply([event("AnalyticsChatStats", {}, 9, sessionId="b", correlationId="b#9")])
    report = await store.report(None)
    assert [each.session for each in report.sessions] == ["b", "live-001"]
    assert all(each.recent == [] for each in report.sessions)
    [unknown] = (await store.report("unknown")).sessions
    assert (unknown.turns, unknown.first_audio_p95_ms) == (0, None)


async def test_what_is_old_is_deleted(store: AnalyticsStore, file: Database) -> None:
    await store.apply([stats(turn) for turn in range(1, 11)])
    await store.delete_before(1_790_000_006)
    [figures] = (await store.report("live-001")).sessions
    assert figures.turns == 5
    later = AnalyticsStore(file, clock=lambda: 4_000_000_000.0)
    await later.delete_before(0)
    count = await file.read(
        lambda db: next(iter(db.execute("SELECT count(*) FROM applied_events")))[0]
    )
    assert count == 0
