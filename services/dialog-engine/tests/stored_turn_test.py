from dialog_engine.stored_turn import StoredTurn


def test_a_turn_in_the_shared_history_is_the_stored_one() -> None:
    stored = StoredTurn("a", 3, "q", "r", 9, "m", interrupted=True, path="legacy", events=True)
    record = stored.record()
    assert (record.turn, record.user, record.reply, record.ts) == (3, "q", "r", 9)
    assert (record.interrupted, record.path, record.request_id) == (True, "legacy", "m")
    assert not record.streams_outbox, "its events are stored already"
