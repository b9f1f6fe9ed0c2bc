import pytest

from dialog_providers.provider_states import ProviderStates


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> ProviderStates:
    return ProviderStates([("a", "model-a"), ("b", "")], cool_down_s=30, clock=clock)


def test_a_provider_that_cools_is_left_out_until_its_time_is_over(
    states: ProviderStates, clock: Clock
) -> None:
    states.failed(0, "rate_limited", cools=True)
    assert states.cooling() == {0}
    clock.now = 30.0
    assert states.cooling() == frozenset()


def test_an_answer_ends_the_cooldown_and_a_failure_that_may_be_over_begins_none(
    states: ProviderStates,
) -> None:
    states.failed(0, "rate_limited", cools=True)
    states.answered(0)
    states.failed(1, "cut_stream", cools=False)
    assert states.cooling() == frozenset()


def test_when_all_cool_all_are_tried(states: ProviderStates) -> None:
    for place in (0, 1):
        states.failed(place, "unreachable", cools=True)
    assert states.cooling() == frozenset()


def test_those_that_have_not_answered_or_failed_since_are_unwarmed(states: ProviderStates) -> None:
    assert states.unwarmed == [0, 1]
    states.answered(0)
    states.answered(1)
    states.failed(1, "timeout", cools=False)
    assert states.unwarmed == [1]


def test_the_report_names_the_first_that_works_and_why_the_others_do_not(
    states: ProviderStates,
) -> None:
    states.failed(0, "refused: the key sk-abcdefghijklmnopqrstuvwx is wrong", cools=True)
    states.answered(1)
    report = states.report()
    assert (report.configured, report.in_use, report.about) == (["a", "b"], "b", {"a": "model-a"})
    assert report.why_not is not None
    assert set(report.why_not) == {"a"}
    assert "sk-abcdefghijklmnop" not in report.why_not["a"]
