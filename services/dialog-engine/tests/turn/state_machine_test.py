"""The turn machine under any order of inputs."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dialog_contracts.sse import DoneEvent, ErrorEvent, TextDeltaEvent
from dialog_engine.turn.actions import (
    Action,
    Commit,
    EmitEvent,
    Finish,
    SendCaption,
    SendEnd,
    SendStopAck,
    Synthesize,
)
from dialog_engine.turn.state_machine import AudioState, TextState, TurnStateMachine


def kinds(actions: list[Action]) -> list[str]:
    return [
        type(action.event).__name__ if isinstance(action, EmitEvent) else type(action).__name__
        for action in actions
    ]


def test_a_turn_from_its_first_delta_to_its_end() -> None:
    turn = TurnStateMachine(turn=7, voiced=True)
    assert kinds(turn.delta("Hello there my dear ", 90)) == [
        "Synthesize",
        "TextDeltaEvent",
        "SendCaption",
    ]
    assert kinds(turn.first_audio(140)) == ["ControlEvent"]
    assert kinds(turn.delta("friend.", 150)) == ["TextDeltaEvent", "SendCaption"]
    assert kinds(turn.model_ended()) == [
        "Synthesize",
        "EndSynthesis",
        "TextDeltaEvent",
        "SendCaption",
        "Commit",
    ]
    done = turn.committed()
    assert kinds(done) == ["DoneEvent"]
    assert isinstance(done[0], EmitEvent)
    assert isinstance(done[0].event, DoneEvent)
    stats = done[0].event.stats
    assert (stats.ttft_ms, stats.first_audio_ms, stats.tokens, stats.turn) == (90, 140, 2, 7)
    assert kinds(turn.voice_sent()) == ["SendEnd"]
    assert turn.played_out() == [Finish("completed")]
    assert turn.over


def test_done_waits_for_the_commit_and_for_the_time_of_the_first_audio() -> None:
    turn = TurnStateMachine(turn=1, voiced=True)
    turn.delta("Hello.", 5)
    turn.model_ended()
    assert turn.committed() == []
    assert kinds(turn.first_audio(60)) == ["ControlEvent", "DoneEvent"]


def test_done_does_not_wait_for_ever_for_a_silent_voice() -> None:
    turn = TurnStateMachine(turn=1, voiced=True)
    turn.delta("Hello.", 5)
    turn.model_ended()
    turn.committed()
    assert kinds(turn.audio_time_unknown()) == ["DoneEvent"]


def test_stop_in_the_middle_stores_what_was_heard() -> None:
    turn = TurnStateMachine(turn=1, voiced=True)
    turn.delta("One two three four five six", 5)
    turn.first_audio(50)
    actions = turn.stop("One two", "viewer")
    assert kinds(actions) == ["CancelModel", "CancelSynthesis", "SendStopAck", "Commit"]
    assert Commit("One two", interrupted=True, revision=0) in actions
    assert kinds(turn.committed()) == ["DoneEvent", "Finish"]
    assert turn.delta("seven", 60) == []


def test_stop_after_done_makes_a_second_commit() -> None:
    turn = TurnStateMachine(turn=1, voiced=True)
    turn.delta("One two three four five six.", 5)
    turn.first_audio(50)
    turn.model_ended()
    turn.committed()
    actions = turn.stop("One two three", "viewer")
    assert kinds(actions) == ["CancelSynthesis", "SendStopAck", "Commit", "Finish"]
    assert Commit("One two three", interrupted=True, revision=1) in actions


def test_a_caller_that_leaves_before_the_first_delta_cancels_later_it_does_not() -> None:
    early = TurnStateMachine(turn=1, voiced=True)
    assert kinds(early.caller_left()) == ["CancelModel", "CancelSynthesis", "SendStopAck", "Finish"]
    late = TurnStateMachine(turn=1, voiced=True)
    late.delta("Hi ", 5)
    assert late.caller_left() == []
    assert late.text is TextState.STREAMING


def test_a_failure_before_the_first_delta_stores_nothing() -> None:
    turn = TurnStateMachine(turn=1, voiced=True)
    actions = turn.model_failed("llm_unavailable", "no", retryable=True)
    assert kinds(actions) == ["ErrorEvent", "CancelSynthesis", "SendStopAck", "Finish"]


def test_a_failure_after_it_stores_what_was_said_then_tells() -> None:
    turn = TurnStateMachine(turn=1, voiced=False)
    turn.delta("Half a ", 5)
    assert kinds(turn.model_failed("llm_cut", "no", retryable=False)) == ["SendCaption", "Commit"]
    assert kinds(turn.committed()) == ["ErrorEvent", "Finish"]


def test_a_commit_that_failed_is_an_error_and_not_a_done() -> None:
    turn = TurnStateMachine(turn=1, voiced=False)
    turn.delta("Hi", 5)
    turn.model_ended()
    actions = turn.commit_failed("disk full")
    assert kinds(actions) == ["ErrorEvent", "Finish"]


def test_a_stop_after_an_error_of_our_own_stops_nothing_again() -> None:
    turn = TurnStateMachine(turn=1, voiced=False)
    turn.delta("Half a ", 5)
    assert kinds(turn.failed_inside()) == ["CancelModel", "SendStopAck", "Commit"]
    assert turn.stop("", "viewer") == []
    assert kinds(turn.committed()) == ["ErrorEvent", "Finish"]


class AnyOrder(RuleBasedStateMachine):
    @initialize(voiced=st.booleans())
    def begin(self, voiced: bool) -> None:
        self.turn = TurnStateMachine(turn=1, voiced=voiced)
        self.actions: list[Action] = []
        self.pending = 0
        self.now = 0.0

    def take(self, actions: list[Action]) -> None:
        self.now += 1
        if self.turn.stopped and any(isinstance(action, SendStopAck) for action in self.actions):
            forbidden = (Synthesize, SendCaption, SendEnd, SendStopAck)
            assert not [action for action in actions if isinstance(action, forbidden)]
        if self.finished():
            assert (
                not [action for action in actions if not isinstance(action, EmitEvent)]
                or actions == []
            )
        self.actions += actions
        self.pending += sum(1 for action in actions if isinstance(action, Commit))

    def finished(self) -> bool:
        return any(isinstance(action, Finish) for action in self.actions)

    def events(self) -> list[object]:
        return [action.event for action in self.actions if isinstance(action, EmitEvent)]

    @rule(text=st.sampled_from(["", "a ", "Hello there. ", "今天天气很好。", "…"]))
    def delta(self, text: str) -> None:
        self.take(self.turn.delta(text, self.now))

    @rule()
    def model_ended(self) -> None:
        self.take(self.turn.model_ended())

    @rule()
    def model_failed(self) -> None:
        self.take(self.turn.model_failed("llm_cut", "x", retryable=False))

    @precondition(lambda self: self.pending > 0)
    @rule(ok=st.booleans())
    def commit_result(self, ok: bool) -> None:
        self.pending -= 1
        self.take(self.turn.committed() if ok else self.turn.commit_failed("x"))

    @precondition(lambda self: self.turn.audio is AudioState.SILENT)
    @rule()
    def first_audio(self) -> None:
        self.take(self.turn.first_audio(self.now))

    @rule()
    def voice_sent(self) -> None:
        if self.turn.text is not TextState.WAITING:
            self.take(self.turn.voice_sent())

    @rule()
    def played_out(self) -> None:
        self.take(self.turn.played_out())

    @rule()
    def no_audio_time(self) -> None:
        if any(isinstance(action, Commit) for action in self.actions):
            self.take(self.turn.audio_time_unknown())

    @rule(share=st.floats(0, 1))
    def stop(self, share: float) -> None:
        self.take(self.turn.stop(self.turn.reply[: int(share * len(self.turn.reply))], "test"))

    @rule()
    def caller_left(self) -> None:
        self.take(self.turn.caller_left())

    @rule(gently=st.booleans())
    def broke(self, gently: bool) -> None:
        self.take(self.turn.failed_inside() if gently else self.turn.task_crashed())

    @rule()
    def claim_lost(self) -> None:
        self.take(self.turn.claim_lost())

    @invariant()
    def one_last_event_and_nothing_after_it(self) -> None:
        events = self.events()
        ends = [at for at, event in enumerate(events) if isinstance(event, DoneEvent | ErrorEvent)]
        assert len(ends) <= 1
        assert not ends or ends[0] == len(events) - 1

    @invariant()
    def done_only_after_a_commit(self) -> None:
        events = [action for action in self.actions if isinstance(action, Commit | EmitEvent)]
        for at, action in enumerate(events):
            if isinstance(action, EmitEvent) and isinstance(action.event, DoneEvent):
                assert any(isinstance(before, Commit) for before in events[:at])

    @invariant()
    def at_most_two_commits_the_second_a_revision(self) -> None:
        commits = [action for action in self.actions if isinstance(action, Commit)]
        assert [commit.revision for commit in commits] in ([], [0], [0, 1])

    @invariant()
    def it_finishes_once(self) -> None:
        assert sum(1 for action in self.actions if isinstance(action, Finish)) <= 1

    @invariant()
    def captions_and_deltas_are_the_reply_unless_it_was_stopped(self) -> None:
        if not self.turn.stopped:
            said = "".join(
                event.content for event in self.events() if isinstance(event, TextDeltaEvent)
            )
            shown = "".join(
                action.content for action in self.actions if isinstance(action, SendCaption)
            )
            assert said == shown == self.turn.reply
            assert sum(self.turn.shape) == len(said)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
