from typing import Any

import pytest
from pydantic import ValidationError

from dialog_flags.flags import Flag
from vtuber_operator.api.status import (
    CONDITION_TYPES,
    SHORT,
    Condition,
    EventReason,
    FlagPhase,
    FlagStatus,
    Phase,
    Reason,
    Status,
)

SINCE = "2026-01-01T00:00:00Z"


def flag(name: Flag, *, effective: bool, desired: bool = True) -> dict[str, Any]:
    phase = FlagPhase.ON if effective else FlagPhase.WAITING
    return {
        "name": name,
        "desired": desired,
        "effective": effective,
        "phase": phase,
        "since": SINCE,
    }


def condition(kind: str, status: str = "True", **more: Any) -> dict[str, Any]:
    made = {
        "type": kind,
        "status": status,
        "reason": "Done",
        "message": "",
        "lastTransitionTime": SINCE,
    }
    return {**made, **more}


def wrong_fields(model: type[Any], body: dict[str, Any]) -> set[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    return {error["loc"] for error in refused.value.errors()}


def test_flags_in_force_are_those_of_the_document_and_not_those_that_are_wanted() -> None:
    flags = [
        flag(Flag.ENABLE_SYNC_CORE, effective=True),
        flag(Flag.SYNC_TTS_STREAMING, effective=True, desired=False),
        flag(Flag.SYNC_TTS_BARGE_IN, effective=False),
    ]
    status = Status.model_validate({"flags": flags})
    assert status.on() == {Flag.ENABLE_SYNC_CORE, Flag.SYNC_TTS_STREAMING}
    assert Status().on() == frozenset()


def test_a_condition_is_found_by_its_type_or_was_never_written() -> None:
    status = Status.model_validate(
        {"conditions": [condition("Ready", "False"), condition("Stalled")]}
    )
    found = status.condition("Stalled")
    assert found is not None
    assert (found.type, found.status) == ("Stalled", "True")
    assert status.condition("Suspended") is None


def test_a_resource_without_a_status_is_pending_and_has_no_flags_in_force() -> None:
    status = Status.model_validate({})
    assert (status.phase, status.generation, status.observed_generation) == (Phase.PENDING, 0, 0)


def test_a_status_of_a_newer_operator_is_read_and_one_that_cannot_be_is_named() -> None:
    Status.model_validate({"future": 1, "conditions": [condition("Ready", future=1)]})
    assert wrong_fields(Status, {"phase": "Fine"}) == {("phase",)}
    assert wrong_fields(Status, {"generation": -1}) == {("generation",)}
    assert wrong_fields(
        Status, {"flags": [{**flag(Flag.ENABLE_LTM, effective=True), "name": "X"}]}
    ) == {("flags", 0, "name")}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"message": "x" * 1_025}, "message"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 65}, "reason"),
        ({"status": "true"}, "status"),
        ({"observedGeneration": -1}, "observedGeneration"),
    ],
)
def test_a_condition_that_the_api_server_would_refuse_is_refused_here(
    more: dict[str, Any], field: str
) -> None:
    Condition.model_validate(condition("Ready", message="x" * 1_024))
    assert wrong_fields(Condition, {**condition("Ready"), **more}) == {(field,)}


def test_lists_are_bounded() -> None:
    one = flag(Flag.ENABLE_LTM, effective=True)
    assert wrong_fields(Status, {"flags": [one] * 17}) == {("flags",)}
    assert wrong_fields(Status, {"conditions": [condition("Ready")] * 17}) == {("conditions",)}
    assert wrong_fields(FlagStatus, {**one, "livePods": -1}) == {("livePods",)}


def test_every_flag_has_a_short_name_and_all_together_fit_into_a_column() -> None:
    assert set(SHORT) == set(Flag)
    assert len(set(SHORT.values())) == len(SHORT)
    everything = ",".join(SHORT.values())
    assert Status(effective=everything).effective == everything


def test_the_types_that_kstatus_reads_are_there_and_reasons_are_single_words() -> None:
    assert {"Ready", "Reconciling", "Stalled"} <= set(CONDITION_TYPES)
    for reason in (*Reason, *EventReason):
        assert reason.isalpha()
        assert reason[0].isupper()
        assert len(reason) <= 64
    assert not {*Reason} & {*EventReason}
