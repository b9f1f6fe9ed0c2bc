from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, floats, integers, lists, none, one_of, sampled_from

from asr.streaming.endpointing import (
    Action,
    Decode,
    Endpointer,
    EndpointingConfig,
    PredictEnd,
    SpeechEnded,
    SpeechStarted,
    State,
)

FRAME = 32
RHYTHM = EndpointingConfig()


class Microphone:
    """Feeds a machine: `(chance, ms)` at a time."""

    def __init__(self, *, judged: bool = True, rhythm: EndpointingConfig = RHYTHM) -> None:
        self.machine = Endpointer(rhythm, judged=judged)
        self.now = 0

    def hears(self, chance: float, ms: int) -> list[Action]:
        actions: list[Action] = []
        for _ in range(ms // FRAME):
            self.now += FRAME
            actions += self.machine.on_frame(self.now - FRAME, self.now, chance)
        return actions


def ends(actions: list[Action]) -> list[SpeechEnded]:
    return [action for action in actions if isinstance(action, SpeechEnded)]


def test_speech_begins_after_three_frames_of_voice_and_is_listened_to_from_before_them() -> None:
    microphone = Microphone()
    assert microphone.hears(0.1, 640) == []
    assert microphone.hears(0.9, 64) == []
    assert microphone.hears(0.9, 32) == [SpeechStarted(640, 340)]


def test_a_click_is_no_speech() -> None:
    microphone = Microphone()
    assert microphone.hears(0.9, 64) + microphone.hears(0.1, 320) + microphone.hears(0.9, 64) == []
    assert microphone.hears(0.1, 3_200) == []


def test_the_first_sound_of_all_has_no_time_before_it() -> None:
    assert Microphone().hears(0.9, 96) == [SpeechStarted(0, 0)]


def test_words_are_looked_for_while_it_goes_on_and_not_more_often() -> None:
    microphone = Microphone()
    looks = [action for action in microphone.hears(0.9, 3_200) if isinstance(action, Decode)]
    assert [look.speech_ms for look in looks] == [608, 1_120, 1_632, 2_144, 2_656, 3_168]
    assert not any(look.pausing for look in looks)


def test_an_utterance_that_the_model_takes_for_complete_is_over_at_once() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 960)
    assert microphone.hears(0.1, 224) == [Decode(960, True), PredictEnd(1)]
    assert microphone.machine.on_prediction(1, True) == [SpeechEnded(0, 960, "complete")]
    assert microphone.machine.state is State.QUIET


def test_one_that_is_not_complete_gets_patience() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 960)
    microphone.hears(0.1, 224)
    assert microphone.machine.on_prediction(1, False) == []
    assert microphone.hears(0.1, 1_248) == []
    assert microphone.hears(0.1, 32) == [SpeechEnded(0, 960, "silence")]


def test_who_goes_on_is_asked_about_anew_and_the_old_answer_is_nothing() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 960)
    microphone.hears(0.1, 224)
    assert microphone.hears(0.9, 320) == []
    assert microphone.machine.on_prediction(1, True) == []
    assert microphone.hears(0.1, 224) == [Decode(1504, True), PredictEnd(2)]
    assert microphone.machine.on_prediction(1, True) == []
    assert microphone.machine.on_prediction(2, True) == [SpeechEnded(0, 1504, "complete")]


def test_within_a_pause_a_breath_is_no_voice() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 960)
    assert ends(microphone.hears(0.4, 3_200)) == [], "the soft end of a word belongs to it"
    microphone.hears(0.1, 224)
    assert ends(microphone.hears(0.4, 1_500)) != []


def test_without_an_answer_the_fixed_silence_counts() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 960)
    microphone.hears(0.1, 224)
    assert microphone.machine.on_prediction(1, None) == []
    assert ends(microphone.hears(0.1, 480)) == [SpeechEnded(0, 960, "silence")]
    microphone = Microphone()
    microphone.hears(0.9, 960)
    microphone.hears(0.1, 800)
    assert microphone.machine.on_prediction(1, None) == [SpeechEnded(0, 960, "silence")], (
        "it came late: the silence was long enough already"
    )


def test_without_a_model_nobody_is_asked() -> None:
    microphone = Microphone(judged=False)
    microphone.hears(0.9, 960)
    assert microphone.hears(0.1, 704) == [Decode(960, True), SpeechEnded(0, 960, "silence")]


def test_who_never_stops_is_cut_and_what_goes_on_is_heard_without_a_gap_or_a_repetition() -> None:
    microphone = Microphone()
    actions = microphone.hears(0.9, 64_000)
    (first, second) = ends(actions)
    assert (first.start_ms, first.reason) == (0, "too_long")
    assert first.end_ms - first.start_ms <= RHYTHM.max_utterance_ms + FRAME
    assert second.start_ms == first.end_ms
    began = [action for action in actions if isinstance(action, SpeechStarted)]
    assert began[1] == SpeechStarted(first.end_ms, first.end_ms)


def test_it_is_over_when_the_microphone_is() -> None:
    microphone = Microphone()
    microphone.hears(0.9, 64)
    assert microphone.machine.force_end("stopped") == [], "that was no speech yet"
    microphone.hears(0.9, 960)
    assert microphone.machine.force_end("gap") == [SpeechEnded(64, 1024, "gap")]
    assert microphone.machine.force_end("stopped") == []


@given(lists(floats(0, 0.49), min_size=1, max_size=50))
def test_silence_for_an_hour_makes_nothing_and_is_not_remembered(chances: list[float]) -> None:
    microphone = Microphone()
    before = len(vars(microphone.machine))
    for _ in range(3_600_000 // FRAME // len(chances) // 20):
        for chance in chances:
            assert microphone.hears(chance, FRAME) == []
    assert len(vars(microphone.machine)) == before
    assert all(
        isinstance(value, int | bool | None | EndpointingConfig | State)
        for value in vars(microphone.machine).values()
    )


@settings(stateful_step_count=60)
class AnyOrder(RuleBasedStateMachine):
    """Every Began has one End, in order, within the bound; questions are numbered upwards.

    Looks happen only within an utterance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rhythm = EndpointingConfig(max_utterance_ms=4_000)
        self.microphone = Microphone(rhythm=self.rhythm)
        self.began: SpeechStarted | None = None
        self.free_from = 0
        self.question = 0

    def _saw(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, SpeechStarted):
                assert self.began is None, "one utterance at a time"
                assert self.free_from <= action.window_ms <= action.start_ms
                assert action.start_ms - action.window_ms <= self.rhythm.preroll_ms
                self.began = action
                continue
            assert self.began is not None
            if isinstance(action, SpeechEnded):
                assert action.start_ms == self.began.start_ms
                assert action.start_ms < action.end_ms <= self.microphone.now
                assert action.end_ms - self.began.window_ms <= self.rhythm.max_utterance_ms + FRAME
                self.free_from, self.began = self.microphone.now, None
            elif isinstance(action, PredictEnd):
                assert action.question > self.question
                self.question = action.question
            else:
                assert 0 < action.speech_ms <= self.rhythm.max_utterance_ms + FRAME

    @rule(
        chance=one_of(sampled_from([0.0, 0.34, 0.4, 0.5, 1.0]), floats(0, 1)),
        frames=integers(1, 60),
    )
    def hears(self, chance: float, frames: int) -> None:
        for _ in range(frames):
            self._saw(self.microphone.hears(chance, FRAME))

    @rule(frames=integers(1, 100))
    def misses(self, frames: int) -> None:
        """Frames that never came: the next one is later."""
        self._saw(self.microphone.machine.force_end("gap"))
        self.microphone.now += frames * FRAME

    @precondition(lambda self: self.question > 0)
    @rule(late=integers(0, 2), complete=one_of(none(), booleans()))
    def answers(self, late: int, complete: bool | None) -> None:
        actions = self.microphone.machine.on_prediction(self.question - late, complete)
        assert late == 0 or actions == []
        self._saw(actions)

    @rule()
    def stops(self) -> None:
        self._saw(self.microphone.machine.force_end("stopped"))
        assert self.began is None

    @invariant()
    def an_utterance_is_open_exactly_while_it_is_told(self) -> None:
        assert (self.began is None) == (self.microphone.machine.state is State.QUIET)

    def teardown(self) -> None:
        self._saw(self.microphone.hears(0.0, 6_400))
        assert self.began is None, "silence ends everything"


TestAnyOrder = AnyOrder.TestCase
