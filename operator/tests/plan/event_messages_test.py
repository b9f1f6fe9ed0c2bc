"""What is told of the difference between two statuses: each thing when it begins, and not again."""

import pytest

from dialog_flags.flags import Flag
from vtuber_operator.api.status import Condition, FlagPhase, FlagStatus, Status
from vtuber_operator.plan.event_messages import event_messages

SINCE = "2026-01-01T00:00:00Z"
STREAMING = Flag.SYNC_TTS_STREAMING


def condition(kind: str, truth: str, reason: str, message: str = "because") -> Condition:
    return Condition(
        type=kind, status=truth, reason=reason, message=message, last_transition_time=SINCE
    )


def conditions(*made: tuple[str, str, str]) -> Status:
    return Status(conditions=[condition(*each) for each in made])


def phase(of: FlagPhase) -> Status:
    return Status(
        flags=[
            FlagStatus(
                name=STREAMING, desired=True, effective=True, phase=of, live_pods=3, since=SINCE
            )
        ]
    )


def told(before: Status, after: Status) -> list[tuple[str, str]]:
    return [(each.kind, each.reason) for each in event_messages(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (FlagPhase.TURNING_ON, FlagPhase.ON, ["FlagOn"]),
        (FlagPhase.WAITING, FlagPhase.TURNING_ON, []),
        (FlagPhase.TURNING_ON, FlagPhase.TURNING_OFF, []),
        (FlagPhase.TURNING_OFF, FlagPhase.OFF, ["FlagOff"]),
        (FlagPhase.TURNING_OFF, FlagPhase.WAITING, ["FlagOff"]),
        (FlagPhase.TURNING_OFF, FlagPhase.SUSPENDED, ["FlagOff"]),
        (FlagPhase.ON, FlagPhase.ON, []),
    ],
)
def test_a_flag_is_told_when_every_pod_goes_by_it(
    before: FlagPhase, after: FlagPhase, reasons: list[str]
) -> None:
    assert [reason for _, reason in told(phase(before), phase(after))] == reasons


def test_the_sentence_names_the_flag_and_counts_the_pods() -> None:
    (only,) = event_messages(phase(FlagPhase.TURNING_ON), phase(FlagPhase.ON))
    assert (only.kind, only.message) == ("Normal", "SYNC_TTS_STREAMING is on; live pods: 3")


WARNED = [
    ("Stalled", "True", "SessionTaken"),
    ("Stalled", "True", "InvalidSpec"),
    ("SecretsReady", "False", "SecretMissing"),
    ("SecretsReady", "False", "KeyMissing"),
    ("SecretsReady", "False", "KeyNotMounted"),
    ("FlagsApplied", "False", "PodsNotAcknowledging"),
    ("FlagsApplied", "False", "NoLivePods"),
    ("FlagsApplied", "False", "RedisDown"),
]


@pytest.mark.parametrize("wrong", WARNED)
def test_what_goes_wrong_is_warned_of_when_it_begins_and_when_its_reason_changes(
    wrong: tuple[str, str, str],
) -> None:
    kind, truth, reason = wrong
    fine = conditions((kind, "False" if truth == "True" else "True", "Acknowledged"))
    warning = [("Warning", reason)]
    assert told(Status(), conditions(wrong)) == warning, "from the start"
    assert told(fine, conditions(wrong)) == warning
    assert told(conditions((kind, truth, "Suspended")), conditions(wrong)) == warning
    assert told(conditions(wrong), conditions(wrong)) == [], "once"
    again = Status(conditions=[condition(kind, truth, reason, "in other words")])
    assert told(conditions(wrong), again) == [], "a number in the sentence is no news"
    assert told(conditions(wrong), fine) == [], "Ready tells that it is over"


def test_waiting_is_no_warning() -> None:
    assert (
        told(
            Status(),
            conditions(
                ("FlagsApplied", "Unknown", "WaitingForPods"),
                ("Ready", "Unknown", "WaitingForPods"),
            ),
        )
        == []
    )


def test_ready_and_keys_are_told_when_they_come() -> None:
    before = conditions(("SecretsReady", "False", "KeyMissing"), ("Ready", "False", "KeyMissing"))
    after = conditions(("SecretsReady", "True", "KeysReady"), ("Ready", "True", "Ready"))
    assert told(before, after) == [("Normal", "KeysReady"), ("Normal", "Ready")]
    assert told(after, after) == []
    keyless = conditions(("SecretsReady", "True", "NoKeys"), ("Ready", "True", "Ready"))
    assert told(Status(), keyless) == [("Normal", "Ready")], (
        "of keys that nobody refers to nothing is told"
    )


def test_suspended_is_told_once() -> None:
    suspended = conditions(("Ready", "False", "Suspended"))
    assert told(conditions(("Ready", "True", "Ready")), suspended) == [("Normal", "Suspended")]
    assert told(suspended, suspended) == []


def test_of_several_the_flags_come_first_and_ready_last() -> None:
    before = phase(FlagPhase.TURNING_OFF)
    wrong = [condition("FlagsApplied", "False", "RedisDown"), condition("Ready", "True", "Ready")]
    after = phase(FlagPhase.OFF).model_copy(update={"conditions": wrong})
    assert [reason for _, reason in told(before, after)] == ["FlagOff", "RedisDown", "Ready"]
