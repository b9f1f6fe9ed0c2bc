from importlib import resources

import apsw
import pytest

from dialog_engine.outbox import rows
from dialog_engine.outbox.events import turn_events
from dialog_engine.outbox.rows import StreamId
from dialog_engine.stored_turn import StoredTurn

NOW = 1_790_000_000_000


@pytest.fixture
def db() -> apsw.Connection:
    made = apsw.Connection(":memory:")
    folder = resources.files("dialog_engine") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        made.execute(file.read_text(encoding="utf-8"))
    return made


def add(db: apsw.Connection, turn: int, session: str = "a") -> None:
    stored = StoredTurn(session, turn, "q", "a", 1_790_000_000, events=True)
    for event in turn_events(stored):
        rows.insert(db, event, NOW + turn)


def test_due_rows_are_in_their_order_and_limited(db: apsw.Connection) -> None:
    for turn in range(1, 4):
        add(db, turn)
    found = rows.due(db, NOW, 5)
    assert [row.id for row in found] == [1, 2, 3, 4, 5]
    assert [row.stream for row in found[:2]] == ["events.ltm", "events.analytics"]


def test_a_row_that_is_tried_later_holds_back_its_session_in_its_stream(
    db: apsw.Connection,
) -> None:
    add(db, 1, "a")
    add(db, 2, "a")
    add(db, 1, "b")
    rows.retry_later(db, 1, NOW + 5_000, "no")
    held = {(row.session_id, row.stream) for row in rows.due(db, NOW, 10)}
    assert ("a", "events.ltm") not in held
    assert {("a", "events.analytics"), ("b", "events.ltm")} <= held
    assert len(rows.due(db, NOW + 5_000, 10)) == 6


def test_a_time_that_no_pause_reaches_is_due(db: apsw.Connection) -> None:
    add(db, 1)
    rows.retry_later(db, 1, NOW + 3_600_000, "no")
    assert [row.id for row in rows.due(db, NOW, 10)] == [1, 2]


def test_rows_after_a_stream_id_are_sent_again_as_numbers_not_as_text(
    db: apsw.Connection,
) -> None:
    for turn in range(1, 5):
        add(db, turn)
    ids = [StreamId(9, 0), StreamId(10, 0), StreamId(10, 2), StreamId(10, 10)]
    ltm = [row.id for row in rows.due(db, NOW, 10) if row.stream == "events.ltm"]
    rows.mark_delivered(db, zip(ltm, ids, strict=True), NOW)
    assert rows.backlog(db).waiting == 4
    assert rows.send_again(db, "events.ltm", StreamId(10, 2)) == 1
    assert rows.send_again(db, "events.ltm", StreamId(9, 0)) == 2
    assert rows.send_again(db, "events.ltm", None) == 1
    assert rows.backlog(db).waiting == 8


def test_the_backlog_has_the_oldest(db: apsw.Connection) -> None:
    assert rows.backlog(db) == rows.Backlog(0, 0, None)
    add(db, 1)
    add(db, 2)
    rows.park(db, 1, NOW, "no")
    rows.mark_delivered(db, [(2, StreamId(1, 1))], NOW)
    assert rows.backlog(db) == rows.Backlog(2, 1, NOW + 2)


def test_a_position_is_replaced(db: apsw.Connection) -> None:
    assert rows.position(db, "s") is None
    for run in ("one", "two"):
        rows.set_position(db, "s", rows.StreamPosition(run, "c"))
    assert rows.position(db, "s") == rows.StreamPosition("two", "c")


@pytest.mark.parametrize("text", ["", "a-b", "-"])
def test_what_is_no_stream_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        StreamId.parse(text)


def test_the_query_for_due_rows_scans_no_delivered_row(db: apsw.Connection) -> None:
    plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {rows._DUE}", (NOW, 10))]
    assert plan
    assert all(
        "USING" in step and "INDEX" in step for step in plan if "SCAN" in step or "SEARCH" in step
    ), plan
