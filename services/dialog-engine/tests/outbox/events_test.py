from dataclasses import replace

import pytest

from dialog_contracts.outbox import PAYLOADS, ChatStats, EventType, LtmWrite, TurnInterruption
from dialog_contracts.sse import DoneStats
from dialog_engine.outbox.events import completed_stats, turn_events
from dialog_engine.stored_turn import StoredTurn

TURN = StoredTurn(
    "live-001",
    42,
    "今晚玩什么？",
    "今晚我们玩解谜",
    1_790_006_400,
    "m-1",
    stats=DoneStats(ttft_ms=130.0, tokens=57, voice="espeak", llm="rules").to_json(),
    viewer_id="twitch:12345",
    lang="zh",
    events=True,
    epoch=7,
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)


def kinds(stored: StoredTurn) -> list[tuple[str, str]]:
    return [(stream, event.type.value) for stream, event in turn_events(stored)]


def test_a_turn_is_written_to_memory_and_counted() -> None:
    assert kinds(TURN) == [
        ("events.ltm", "LtmWriteRequested"),
        ("events.analytics", "AnalyticsChatStats"),
    ]
    (_, written), (_, counted) = turn_events(TURN)
    assert (written.correlation_id, written.ts, written.epoch) == ("live-001#42", TURN.ts, 7)
    assert written.traceparent == TURN.traceparent
    payload = LtmWrite.model_validate(written.payload)
    assert (payload.text, payload.reply, payload.vectorize) == (TURN.user, TURN.reply, False)
    assert (payload.viewer_id, payload.lang) == ("twitch:12345", "zh")
    stats = ChatStats.model_validate(counted.payload)
    assert (stats.ttft_ms, stats.tokens, stats.voice, stats.path) == (130.0, 57, "espeak", "sync")


def test_without_the_flag_there_are_none() -> None:
    assert turn_events(replace(TURN, events=False)) == []
    assert completed_stats(replace(TURN, events=False)) == []


def test_an_interrupted_turn_says_so_to_both() -> None:
    assert kinds(replace(TURN, interrupted=True)) == [
        ("events.ltm", "LtmWriteRequested"),
        ("events.analytics", "AnalyticsChatStats"),
        ("events.ltm", "TurnInterrupted"),
        ("events.analytics", "TurnInterrupted"),
    ]


def test_a_later_revision_has_only_the_interruption() -> None:
    cut = replace(TURN, interrupted=True, revision=1, reply="今晚")
    assert kinds(cut) == [
        ("events.ltm", "TurnInterrupted"),
        ("events.analytics", "TurnInterrupted"),
    ]
    stopped = TurnInterruption.model_validate(turn_events(cut)[0][1].payload)
    assert (stopped.heard_text, stopped.text, stopped.revision) == ("今晚", TURN.user, 1)


def test_what_nobody_said_is_no_memory() -> None:
    said = replace(TURN, user="", interrupted=True)
    assert {stream for stream, _ in turn_events(said)} == {"events.analytics"}


def test_ids_follow_from_the_turn_and_are_all_different() -> None:
    interrupted = replace(TURN, interrupted=True)
    made = [
        *turn_events(interrupted),
        *turn_events(replace(interrupted, revision=1)),
        *completed_stats(interrupted),
        *turn_events(replace(interrupted, turn=43)),
        *turn_events(replace(interrupted, session_id="live-002")),
        *turn_events(replace(interrupted, ts=TURN.ts + 1)),
    ]
    ids = [event.event_id for _, event in made]
    assert len(set(ids)) == len(ids)
    assert [event.event_id for _, event in turn_events(interrupted)] == ids[:4]


@pytest.mark.parametrize(
    "stored", [TURN, replace(TURN, interrupted=True, path="legacy", stats="{}")]
)
def test_every_event_is_a_valid_message(stored: StoredTurn) -> None:
    for _, event in [*turn_events(stored), *completed_stats(stored)]:
        assert type(event).from_json(event.to_json()) == event
        PAYLOADS[EventType(event.type)].model_validate(event.payload)
