"""A viewer that joins in the middle of a turn."""

import json

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.viewer import Phase
from output_handler.playback.turn import AudioFrame, Delivery, PlaybackTurn
from output_handler.viewers.late_join import join_late, state_frame


class Recorder:
    """In a viewer's place: what it is sent, in short."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def send(self, data: str) -> None:
        frame = json.loads(data)
        self.got.append(str(frame.get("action") or frame.get("phase") or frame["type"]))

    def send_audio(self, sound: AudioFrame) -> None:
        self.got.append(f"chunk {sound.seq}")


@pytest.fixture
def turn() -> PlaybackTurn:
    start = '{"type": "CONTROL", "action": "START"}'
    made = PlaybackTurn(number=1, flags=FlagSet(), opened_at_ms=1_000.0, start_json=start)
    for seq in range(5):
        made.schedule(seq * 40, 40, 1_000.0)
        made.buffer(AudioFrame(seq, seq * 40, 40, "{}"), 1_000.0)
    made.text = "Hello there."
    return made


def joined(turn: PlaybackTurn, now_ms: float) -> list[str]:
    viewer = Recorder()
    join_late(viewer, turn, "s", now_ms)  # type: ignore[arg-type]
    return viewer.got


def test_it_gets_the_turn_the_text_and_only_what_is_still_to_be_played(turn: PlaybackTurn) -> None:
    assert joined(turn, 1_100.0) == [
        "START",
        "SPEAKING",
        "TEXT_DELTA",
        "chunk 2",
        "chunk 3",
        "chunk 4",
    ]


def test_a_stopped_turn_has_no_audio_and_a_paused_one_says_so(turn: PlaybackTurn) -> None:
    turn.clock.pause(1_100.0)
    assert joined(turn, 9_000.0)[-1] == "PAUSE"
    turn.delivery, turn.phase = Delivery.STOPPED, Phase.INTERRUPTED
    assert [line for line in joined(turn, 1_100.0) if line.startswith("chunk")] == []


def test_without_a_word_no_text_is_sent(turn: PlaybackTurn) -> None:
    turn.text = ""
    assert "TEXT_DELTA" not in joined(turn, 1_100.0)


def test_started_at_is_when_the_audio_started_or_the_turn_before_it() -> None:
    state = json.loads(state_frame("s", Phase.THINKING, 3, 12.34567))
    assert (state["phase"], state["turn"], state["startedAt"]) == ("THINKING", 3, 12.346)
