import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dialog_contracts.ingest import Played, Stop
from dialog_contracts.viewer import FROM_VIEWER, Phase, State, TimeReply, TimeRequest, ViewerError


def test_state_is_as_the_design_says() -> None:
    state = State(session_id="live-001", turn=42, phase=Phase.SPEAKING, started_at=81234.5)
    assert (
        state.to_json()
        == '{"type":"STATE","sessionId":"live-001","turn":42,"phase":"SPEAKING","startedAt":81234.5}'
    )
    assert [phase.value for phase in Phase] == [
        "IDLE",
        "LISTENING",
        "THINKING",
        "SPEAKING",
        "INTERRUPTED",
    ]
    assert State(session_id="live-001", turn=0, phase=Phase.IDLE, started_at=0).turn == 0


def test_time_is_answered_with_both_clocks() -> None:
    assert TimeRequest(t0=1520.25).to_json() == '{"type":"TIME","t0":1520.25}'
    assert TimeReply(t0=1520.25, t1=9.5).to_json() == '{"type":"TIME","t0":1520.25,"t1":9.5}'
    assert (
        ViewerError(code="too_slow", message="…").to_json()
        == '{"type":"ERROR","code":"too_slow","message":"…"}'
    )


@pytest.mark.parametrize(
    ("name", "model"), [("stop", Stop), ("played", Played), ("time-request", TimeRequest)]
)
def test_frames_of_a_viewer_are_told_apart(
    example: Callable[[str], Any], name: str, model: type
) -> None:
    assert type(FROM_VIEWER.validate_json(json.dumps(example(name)))) is model


@pytest.mark.parametrize(
    "name",
    [
        "start",
        "end",
        "stop-ack",
        "subscribe",
        "speech-chunk",
        "text-delta",
        "state",
        "viewer-error",
    ],
)
def test_a_viewer_cannot_say_what_only_services_say(
    example: Callable[[str], Any], name: str
) -> None:
    with pytest.raises(ValidationError):
        FROM_VIEWER.validate_python(example(name))


@given(
    st.none()
    | st.integers()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(
        st.sampled_from(["type", "action", "t0", "turn"]), st.text() | st.lists(st.none())
    )
)
def test_junk_is_refused_and_nothing_else(value: object) -> None:
    with pytest.raises(ValidationError):
        FROM_VIEWER.validate_python(value)


@pytest.mark.parametrize("offset", [-1, 24 * 3600 * 1000 + 1, "x", None])
def test_a_position_is_within_a_day(offset: object) -> None:
    with pytest.raises(ValidationError):
        FROM_VIEWER.validate_python(
            {"type": "PLAYED", "sessionId": "live-001", "turn": 1, "offsetMs": offset}
        )
