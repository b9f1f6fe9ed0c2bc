"""The playback machine, in whatever order frames, requests and timers come."""

import json
import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, Start, Stop, StopAck, TextDelta
from dialog_contracts.viewer import Phase
from output_handler.errors import BargeInOff
from output_handler.playback import actions
from output_handler.playback.session import MAX_PAUSE_S
from output_handler.playback.state_machine import PlaybackState
from output_handler.playback.turn import AudioFrame, AudioSource, Delivery

BARGE_IN = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
STREAMING = FlagSet(SYNC_TTS_STREAMING=True)


def start(turn: int, epoch: int = 1, flags: FlagSet = BARGE_IN) -> Start:
    return Start(session_id="s", turn=turn, epoch=epoch, flags=flags)


def text(turn: int, content: str, at: int = 0) -> TextDelta:
    return TextDelta(session_id="s", turn=turn, content=content, text_start=at, eos=False)


def sound(seq: int) -> AudioFrame:
    return AudioFrame(seq, seq * 40, 40, "{}")


def kinds(decided: list[actions.Action]) -> list[str]:
    """The actions by name; broadcasts by what they are."""
    found = []
    for action in decided:
        if isinstance(action, actions.Broadcast):
            frame = json.loads(action.data)
            found.append(frame.get("action") or frame["type"])
        elif not isinstance(action, actions.Log):
            found.append(type(action).__name__)
    return found


@pytest.fixture
def state() -> PlaybackState:
    return PlaybackState("s", files=True)


def test_before_the_first_turn_nothing_can_be_stopped_paused_or_lost(state: PlaybackState) -> None:
    assert state.stop(None, "x", 0.0) == []
    assert state.request_pause("PAUSE", None, 0.0) == []
    assert state.engine_lost(0.0, for_good=True) == []
    assert state.moved(0.0) == []
    assert (state.turn.number, state.turn.phase) == (0, Phase.IDLE)


def test_a_turn_begins_speaks_ends_and_its_reply_is_sent_once(state: PlaybackState) -> None:
    assert kinds(state.start(start(1), 0.0)) == [
        "CancelIdle",
        "CancelPauseEnd",
        "OpenTurn",
        "START",
        "SendPhase",
    ]
    assert kinds(state.chunk(1, sound(0), 10.0)) == ["SendPhase", "SendAudio"]
    assert kinds(state.chunk(1, sound(1), 20.0)) == ["SendAudio"]
    frame = End(session_id="s", turn=1, audio_ms=80)
    assert kinds(state.end(frame, frame.to_json(), 30.0)) == ["END", "SendReply", "ScheduleIdle"]
    assert state.end(frame, frame.to_json(), 40.0) == []


def test_an_end_that_crosses_a_stop_does_not_cost_legacy_viewers_their_reply(
    state: PlaybackState,
) -> None:
    """Before: END on its way when STOP was sent, then STOP_ACK: they got nothing at all."""
    state.start(start(1), 0.0)
    state.caption(text(1, "Hello there."), "{}")
    state.chunk(1, sound(0), 10.0)
    assert "SendToEngine" in kinds(state.stop(1, "viewer", 20.0))
    frame = End(session_id="s", turn=1, audio_ms=40)
    assert state.end(frame, frame.to_json(), 21.0) == []
    ack = StopAck(session_id="s", turn=1, heard_text="Hello")
    decided = state.stop_ack(ack, ack.to_json(), 25.0)
    assert actions.SendReply("Hello") in decided
    assert actions.MeasureStop(5.0) in decided


def test_without_barge_in_a_stop_and_a_pause_are_refused(state: PlaybackState) -> None:
    state.start(start(1, flags=STREAMING), 0.0)
    with pytest.raises(BargeInOff):
        state.stop(None, "x", 1.0)
    with pytest.raises(BargeInOff):
        state.request_pause("PAUSE", None, 1.0)


def test_a_file_is_awaited_only_where_the_legacy_pipeline_runs() -> None:
    frame = End(session_id="s", turn=1, audio_ms=0, voice_follows=True)
    for files, expected in ((True, ["AwaitFile"]), (False, ["END", "SendReply", "ScheduleIdle"])):
        state = PlaybackState("s", files=files)
        state.start(start(1), 0.0)
        assert kinds(state.end(frame, frame.to_json(), 1.0)) == expected
        assert (state.turn.source is AudioSource.FILE_AWAITED) is files


def test_an_engine_that_was_only_late_goes_on_and_one_that_reconnects_too(
    state: PlaybackState,
) -> None:
    state.start(start(1), 0.0)
    assert kinds(state.engine_lost(1.0, for_good=False)) == ["SendError", "ScheduleIdle"]
    assert kinds(state.engine_lost(2.0, for_good=False)) == ["ScheduleIdle"]
    assert kinds(state.engine_back(3.0)) == ["CancelIdle"]
    assert kinds(state.engine_lost(4.0, for_good=True)) == ["SendError", "ScheduleIdle"]
    state.idle()
    assert kinds(state.start(start(1), 6.0)) == ["CancelIdle", "SendPhase"]
    assert kinds(state.engine_lost(7.0, for_good=True)) == ["SendError", "ScheduleIdle"]
    assert kinds(state.engine_back(8.0)) == ["CancelIdle"], "a frame proves that it lives"


def test_a_turn_announced_again_after_its_end_ends_once(state: PlaybackState) -> None:
    frame = End(session_id="s", turn=1, audio_ms=0)
    state.start(start(1), 0.0)
    assert "END" in kinds(state.end(frame, frame.to_json(), 1.0))
    assert state.start(start(1), 2.0) == []
    assert state.end(frame, frame.to_json(), 3.0) == []


def test_a_turn_that_was_given_up_goes_on_when_it_is_announced_again(state: PlaybackState) -> None:
    frame = End(session_id="s", turn=1, audio_ms=0)
    state.start(start(1), 0.0)
    assert kinds(state.abandon(1.0)) == ["ScheduleIdle"]
    state.start(start(1), 2.0)
    assert "END" in kinds(state.end(frame, frame.to_json(), 3.0))


class AnyOrder(RuleBasedStateMachine):
    """Every input at any time; timers ring when time passes.

    What viewers get is checked as they get it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = PlaybackState("s", files=True)
        self.now, self.seq, self.epoch = 0.0, 0, 1
        self.idle_at: float | None = None
        self.pause_ends_at: float | None = None
        self.paused_since: float | None = None
        self.turn = 0
        self.silent = self.acknowledged = False
        self.ends = self.replies = 0
        self.started_at = -math.inf

    def do(self, decided: list[actions.Action]) -> None:
        for action in decided:
            match action:
                case actions.OpenTurn(frame):
                    self.turn, self.seq = frame.turn, 0
                    self.silent = self.acknowledged = False
                    self.ends = self.replies = 0
                    self.started_at, self.paused_since = -math.inf, None
                case actions.Broadcast(data):
                    self.broadcast(json.loads(data))
                case actions.SendAudio():
                    assert not self.silent, "sound after a stop"
                case actions.FlushViewers():
                    self.silent, self.paused_since = True, None
                case actions.SendReply():
                    self.replies += 1
                    assert self.replies == 1
                case actions.SendPhase(phase, turn, at_ms):
                    assert turn == self.turn
                    if phase is Phase.SPEAKING:
                        assert at_ms >= self.started_at, "startedAt went back"
                        self.started_at = at_ms
                case actions.ScheduleIdle(seconds):
                    assert seconds >= 0
                    self.idle_at = self.now + seconds * 1000
                case actions.CancelIdle():
                    self.idle_at = None
                case actions.SchedulePauseEnd():
                    self.pause_ends_at = self.now + MAX_PAUSE_S * 1000
                case actions.CancelPauseEnd():
                    self.pause_ends_at = None

    def broadcast(self, frame: dict[str, Any]) -> None:
        kind = frame.get("action") or frame["type"]
        if kind not in ("START", "STOP_ACK"):
            assert not self.acknowledged, f"{kind} after STOP_ACK"
        if kind == "END":
            self.ends += 1
            assert self.ends == 1, "a second END"
        elif kind == "TEXT_DELTA":
            assert not self.silent
        elif kind == "STOP_ACK":
            assert not self.acknowledged, "a second STOP_ACK"
            self.acknowledged, self.paused_since = True, None
        elif kind == "PAUSE":
            self.paused_since = self.now
        elif kind == "RESUME":
            self.paused_since = None

    @rule(ahead=integers(-1, 2), moves=booleans(), barge_in=booleans())
    def starts(self, ahead: int, moves: bool, barge_in: bool) -> None:
        self.epoch += moves
        turn = max(1, self.state.turn.number + ahead)
        self.do(
            self.state.start(start(turn, self.epoch, BARGE_IN if barge_in else STREAMING), self.now)
        )

    @rule(skipped=sampled_from([0, 0, 0, 2]))
    def chunks(self, skipped: int) -> None:
        if self.state.turn.number:
            self.do(self.state.engine_back(self.now))
            self.seq += skipped
            self.do(self.state.chunk(self.state.turn.number, sound(self.seq), self.now))
            self.seq += 1

    @rule()
    def caption(self) -> None:
        frame = text(max(1, self.state.turn.number), "word ", len(self.state.turn.text))
        self.do(self.state.caption(frame, frame.to_json()))

    @rule(voice_follows=booleans())
    def ends_turn(self, voice_follows: bool) -> None:
        if self.state.turn.number and self.state.turn.source is AudioSource.ENGINE:
            frame = End(
                session_id="s",
                turn=self.state.turn.number,
                audio_ms=0,
                voice_follows=voice_follows or None,
            )
            self.do(self.state.end(frame, frame.to_json(), self.now))

    @rule(heard=sampled_from([None, "", "word"]))
    def acknowledges(self, heard: str | None) -> None:
        if self.state.turn.number and self.state.turn.source is AudioSource.ENGINE:
            frame = StopAck(session_id="s", turn=self.state.turn.number, heard_text=heard)
            self.do(self.state.stop_ack(frame, frame.to_json(), self.now))

    @rule()
    def stops(self) -> None:
        try:
            self.do(self.state.stop(None, "viewer", self.now))
        except BargeInOff:
            assert not self.state.turn.flags.SYNC_TTS_BARGE_IN

    @rule()
    def stops_elsewhere(self) -> None:
        self.do(self.state.file_stopped(Stop(session_id="s"), self.now))

    @rule(action=sampled_from(["PAUSE", "RESUME"]))
    def pauses(self, action: Any) -> None:
        try:
            self.do(self.state.request_pause(action, None, self.now))
        except BargeInOff:
            assert not self.state.turn.flags.SYNC_TTS_BARGE_IN

    @rule(action=sampled_from(["PAUSE", "RESUME"]))
    def is_paused_by_its_engine(self, action: Any) -> None:
        if self.state.turn.number and self.state.turn.source is AudioSource.ENGINE:
            self.do(self.state.apply_pause(action, self.now))

    @rule(for_good=booleans())
    def loses_its_engine(self, for_good: bool) -> None:
        self.do(self.state.engine_lost(self.now, for_good=for_good))

    @rule()
    def engine_returns(self) -> None:
        self.do(self.state.engine_back(self.now))

    @rule()
    def moves(self) -> None:
        self.do(self.state.moved(self.now))

    @rule()
    def file_begins(self) -> None:
        turn = self.state.turn.number + 1
        self.do(self.state.open_file(start(turn, self.epoch), text(turn, "a file"), self.now))
        self.state.take_file()

    @rule()
    def file_comes(self) -> None:
        if self.state.turn.source is AudioSource.FILE_AWAITED:
            self.state.take_file()

    @rule()
    def file_ends(self) -> None:
        if self.state.turn.source is not AudioSource.ENGINE:
            frame = End(session_id="s", turn=self.state.turn.number, audio_ms=0)
            self.do(self.state.finish(frame, self.now))

    @rule()
    def is_abandoned(self) -> None:
        if self.state.turn.number:
            self.do(self.state.abandon(self.now))

    @rule(ms=integers(1, 3_000))
    def time_passes(self, ms: int) -> None:
        until = self.now + ms
        while True:
            due = [
                at for at in (self.idle_at, self.pause_ends_at) if at is not None and at <= until
            ]
            if not due:
                break
            self.now = max(self.now, min(due))
            if self.idle_at is not None and self.idle_at <= self.now:
                self.idle_at = None
                self.state.idle()
            elif self.pause_ends_at is not None:
                self.pause_ends_at = None
                self.do(self.state.pause_timed_out(self.now))
        self.now = until

    @invariant()
    def a_pause_ends(self) -> None:
        if self.paused_since is not None:
            assert self.now - self.paused_since <= MAX_PAUSE_S * 1000

    @invariant()
    def what_was_stopped_is_silent(self) -> None:
        if self.state.turn.delivery is Delivery.STOPPED:
            assert not self.state.turn.playing(self.now)
            assert self.acknowledged

    @invariant()
    def an_open_turn_that_nobody_speaks_becomes_idle(self) -> None:
        turn = self.state.turn
        if turn.ended and not turn.paused and turn.phase is not Phase.IDLE:
            assert self.idle_at is not None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
