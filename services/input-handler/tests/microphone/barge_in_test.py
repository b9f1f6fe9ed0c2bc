from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from

from input_handler.microphone.barge_in import (
    FALSE_INTERRUPTION_TIMEOUT_MS,
    Action,
    BargeInPolicy,
    Drop,
    Pause,
    Resume,
    StartTurn,
    State,
    Stop,
)


def told(*steps: Any, sounds: bool = True) -> list[Action]:
    """`began`, a partial as text, the utterance as a 1-tuple, or ms that go by."""
    machine, now, actions = BargeInPolicy(), 0.0, []
    for step in steps:
        if step == "began":
            found = machine.on_speech_started(now)
            actions += found
            if Pause() in found:
                machine.on_pause_result(sounds)
        elif isinstance(step, tuple):
            actions += machine.on_speech_ended(step[0], "en")
        elif isinstance(step, str):
            actions += machine.on_partial(step)
        else:
            now += step
            actions += machine.on_tick(now)
    return actions


def test_words_stop_the_reply_before_the_sentence_is_over_and_become_a_turn() -> None:
    assert told(
        "began", "what", "what about", "what about the", ("what about the other game?",)
    ) == [
        Pause(),
        Stop(),
        StartTurn("what about the other game?", "en"),
    ]


def test_an_order_is_enough_by_itself() -> None:
    assert told("began", "stop", ("stop",)) == [Pause(), Stop(), StartTurn("stop", "en")]


def test_a_nod_lets_the_reply_go_on() -> None:
    assert told("began", "嗯", "嗯嗯", ("嗯嗯。",)) == [Pause(), Resume(), Drop("back_channel")]


def test_a_cough_lets_the_reply_go_on() -> None:
    assert told("began", 300, ("",)) == [Pause(), Resume(), Drop("noise")]


def test_a_noise_that_does_not_end_holds_up_nothing_and_words_in_it_still_count() -> None:
    assert told("began", FALSE_INTERRUPTION_TIMEOUT_MS, 5_000, ("",)) == [
        Pause(),
        Resume(),
        Drop("noise"),
    ]
    assert told("began", FALSE_INTERRUPTION_TIMEOUT_MS, "so tell me", ("so tell me more",)) == [
        Pause(),
        Resume(),
        Stop(),
        StartTurn("so tell me more", "en"),
    ]


def test_a_short_word_that_is_no_nod_is_known_only_at_its_end() -> None:
    assert told("began", "why", ("why?",)) == [Pause(), Stop(), StartTurn("why?", "en")]


def test_while_nothing_sounds_everything_with_words_is_a_turn() -> None:
    assert told("began", "嗯", ("嗯",), sounds=False) == [Pause(), StartTurn("嗯", "en")]
    assert told("began", "stop", ("stop",), sounds=False) == [Pause(), StartTurn("stop", "en")]
    assert told("began", ("",), sounds=False) == [Pause(), Drop("noise")]


def test_a_microphone_that_goes_leaves_no_reply_standing() -> None:
    machine = BargeInPolicy()
    machine.on_speech_started(0)
    machine.on_pause_result(True)
    assert machine.on_closed() == [Resume()]
    assert machine.on_closed() == []


TEXTS = ["", "…", "嗯", "uh-huh", "why", "stop", "what about this", "今晚玩什么"]


class AnyOrder(RuleBasedStateMachine):
    """Every Pause that held something ends, and nothing is resumed or stopped that was not going on."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.now = BargeInPolicy(), 0.0
        self.reply = "sounding"
        self.speaking = self.interrupts = False

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Pause):
                held = self.reply == "sounding"
                self.reply = "paused" if held else self.reply
                self.interrupts = held
                self.machine.on_pause_result(held)
            elif isinstance(action, Resume):
                assert self.reply == "paused"
                self.reply = "sounding"
            elif isinstance(action, Stop):
                assert self.reply != "over"
                self.reply = "over"
            elif isinstance(action, StartTurn):
                assert self.reply == "over" or not self.interrupts, (
                    "a turn is asked when the one before is silent"
                )

    @precondition(lambda self: self.speaking)
    @rule(text=sampled_from(TEXTS))
    def partial(self, text: str) -> None:
        self._do(self.machine.on_partial(text))

    @rule()
    def began(self) -> None:
        self.speaking = True
        self._do(self.machine.on_speech_started(self.now))

    @precondition(lambda self: self.speaking)
    @rule(text=sampled_from(TEXTS))
    def ended(self, text: str) -> None:
        self.speaking = False
        self._do(self.machine.on_speech_ended(text, None))
        assert self.reply != "paused"

    @rule(ms=integers(0, 2_000))
    def time_goes_by(self, ms: int) -> None:
        self.now += ms
        self._do(self.machine.on_tick(self.now))

    @rule(again=booleans())
    def answered(self, again: bool) -> None:
        """The next reply sounds."""
        if self.reply == "over" and again:
            self.reply, self.interrupts = "sounding", False

    @rule()
    def gone(self) -> None:
        self.speaking = False
        self._do(self.machine.on_closed())
        assert self.reply != "paused"

    @invariant()
    def a_pause_is_being_judged(self) -> None:
        assert (self.reply == "paused") is (self.machine.state is State.JUDGING)


AnyOrder.TestCase.settings = settings(max_examples=80, stateful_step_count=20)
TestAnyOrder = AnyOrder.TestCase
