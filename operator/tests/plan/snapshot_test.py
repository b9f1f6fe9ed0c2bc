from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.redis_names import FLAGS_ACK_VALID_S
from dialog_flags.flags import REQUIRES, Flag, validate
from vtuber_operator.api.status import Status
from vtuber_operator.plan.snapshot import Acknowledgement, ClusterSnapshot, Resource, flag_set

NOW = 1_760_000_000_000
CORE, STREAMING, LTM = Flag.ENABLE_SYNC_CORE, Flag.SYNC_TTS_STREAMING, Flag.ENABLE_LTM
META = {"namespace": "vt", "name": "one", "uid": "u", "generation": 3, "creationTimestamp": "t"}
SINCE = "2026-01-01T00:00:00Z"
PRIVATE = "canary-1f2e"


def resource(spec: Any = None, status: Any = None) -> Resource:
    return Resource.from_body({"metadata": META, "spec": spec, "status": status})


def status(*on: Flag, generation: int = 7, stalled: str | None = None) -> dict[str, Any]:
    flags = [
        {"name": flag, "desired": True, "effective": True, "phase": "On", "since": SINCE}
        for flag in on
    ]
    conditions = (
        []
        if stalled is None
        else [
            {
                "type": "Stalled",
                "status": "True",
                "reason": stalled,
                "message": "",
                "lastTransitionTime": SINCE,
            }
        ]
    )
    return {"generation": generation, "flags": flags, "conditions": conditions}


def test_a_resource_is_what_the_api_server_says() -> None:
    it = resource({"sessionId": "live-001", "flags": {STREAMING: True}}, status(CORE))
    assert (it.key, it.path, it.uid, it.generation) == (("vt", "one"), "vt/one", "u", 3)
    assert (it.session_id, it.invalid) == ("live-001", None)
    assert it.wanted == {CORE, STREAMING}
    assert it.known == {CORE}


def test_a_spec_that_cannot_be_read_keeps_the_flags_in_force_and_says_where_it_is_wrong() -> None:
    it = resource({"sessionId": "live-001", "llm": {"maxTokens": 0}}, status(CORE, STREAMING))
    assert it.spec is None
    assert it.invalid is not None
    assert it.invalid.startswith("spec.llm.maxTokens: ")
    assert it.wanted == it.known == {CORE, STREAMING}
    assert it.session_id == "live-001", "whose session it is can still be said"


@pytest.mark.parametrize(
    "spec",
    [
        {"sessionId": "a", "llm": {"model": f"{PRIVATE} x"}},
        {"sessionId": "a", "persona": {"instructions": PRIVATE * 1_000}},
        {"sessionId": f"{PRIVATE} x"},
        {"sessionId": "a", "voice": {"provider": PRIVATE}},
        PRIVATE,
    ],
)
def test_a_sentence_about_a_spec_does_not_repeat_what_it_holds(spec: Any) -> None:
    invalid = resource(spec).invalid
    assert invalid
    assert invalid.startswith("spec")
    assert PRIVATE not in invalid


def test_flags_that_need_others_are_invalid_and_named() -> None:
    it = resource({"sessionId": "a", "flags": {LTM: True}})
    assert it.spec is not None
    assert it.invalid == f"spec.flags: {LTM} is on but needs {REQUIRES[LTM]}, which is off"


@pytest.mark.parametrize("broken", [{"generation": "x"}, {"phase": "Fine"}, {"flags": 7}, [1]])
def test_a_status_that_cannot_be_read_counts_as_none(broken: Any) -> None:
    it = resource({"sessionId": "a"}, broken)
    assert it.status == Status()
    assert (it.in_force, it.known) == (False, frozenset())


@pytest.mark.parametrize(
    ("said", "in_force"),
    [
        (status(CORE), True),
        (status(CORE, generation=0), False),
        (status(CORE, stalled="SessionTaken"), False),
        (status(CORE, stalled="InvalidSpec"), True),
        (None, False),
    ],
)
def test_a_status_counts_from_its_first_step_and_while_no_other_has_the_session(
    said: Any, in_force: bool
) -> None:
    it = resource({"sessionId": "a"}, said)
    assert it.in_force is in_force
    assert it.known == (frozenset({CORE}) if in_force else frozenset())


@pytest.mark.parametrize(
    ("session_id", "known"),
    [("*", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\n", False), (7, False)],
)
def test_a_session_is_one_that_pods_know(session_id: object, known: bool) -> None:
    assert resource({"sessionId": session_id}).session_id == (session_id if known else None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "sessionId",
                    "flags",
                    "llm",
                    "model",
                    "rollout",
                    "conditions",
                    "generation",
                    "type",
                ]
                + [str(flag) for flag in Flag]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(spec=JSON, said=JSON)
def test_whatever_is_in_a_resource_it_can_be_judged(spec: Any, said: Any) -> None:
    it = resource(spec, said)
    assert it.spec is not None or it.invalid
    assert it.wanted <= set(Flag)
    assert it.known <= set(Flag)


@given(st.frozensets(st.sampled_from(list(Flag))))
def test_the_flags_of_a_document_are_those_that_are_on(on: frozenset[Flag]) -> None:
    made = flag_set(on, 9)
    assert {flag for flag in Flag if getattr(made, flag)} == on
    assert made.generation == 9
    assert bool(validate(made)) == any(
        needed not in on for flag, needed in REQUIRES.items() if flag in on
    )


def snapshot(**acks: Acknowledgement) -> ClusterSnapshot:
    return ClusterSnapshot(now_ms=NOW, pods={"a": NOW, "b": NOW}, acks=acks)


def ack(
    revision: int, *, age_ms: int = 0, missing: frozenset[str] = frozenset()
) -> Acknowledgement:
    return Acknowledgement(revision, NOW - age_ms, missing)


def test_an_acknowledgement_counts_as_long_as_pods_renew_it() -> None:
    last_ms = FLAGS_ACK_VALID_S * 1_000
    assert snapshot(a=ack(5, age_ms=last_ms)).fresh_ack("a") == ack(5, age_ms=last_ms)
    assert snapshot(a=ack(5, age_ms=last_ms + 1)).fresh_ack("a") is None
    assert snapshot().fresh_ack("a") is None


def test_the_common_revision_is_that_of_the_pod_that_is_furthest_behind() -> None:
    assert snapshot(a=ack(5), b=ack(7)).common_revision == 5
    assert snapshot(a=ack(5), b=ack(7), gone=ack(1)).common_revision == 5
    assert snapshot(a=ack(5), b=ack(7)).live == {"a", "b"}


@pytest.mark.parametrize(
    "acks",
    [
        {},
        {"a": ack(5)},
        {"a": ack(5), "b": ack(7, age_ms=FLAGS_ACK_VALID_S * 1_000 + 1)},
        {"a": ack(5), "b": ack(7, missing=frozenset({"key"}))},
    ],
)
def test_without_a_word_of_every_pod_there_is_none(acks: dict[str, Acknowledgement]) -> None:
    assert snapshot(**acks).common_revision == -1


def test_without_pods_there_is_none_either() -> None:
    assert ClusterSnapshot(now_ms=NOW, acks={"a": ack(5)}).common_revision == -1
