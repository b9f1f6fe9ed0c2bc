"""Conditions: what readers go by (kstatus), and times that change only with what they are about."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_flags.flags import Flag, validate
from vtuber_operator.api.status import CONDITION_TYPES, FlagPhase, Phase, Reason, Status
from vtuber_operator.plan.conditions import (
    ConditionValue,
    RolloutFacts,
    short_names,
    status_of,
    time_text,
)
from vtuber_operator.plan.flag_steps import RolloutProgress
from vtuber_operator.plan.session_documents import ResolvedKeys
from vtuber_operator.plan.snapshot import ClusterSnapshot, Resource, flag_set

NOW = 1_760_000_000_000
CORE, STREAMING = Flag.ENABLE_SYNC_CORE, Flag.SYNC_TTS_STREAMING
PODS = frozenset({"engine-0", "input-0"})
EVERYBODY = RolloutProgress(written=True, acknowledged=PODS)
DONE = RolloutFacts(
    effective=frozenset({CORE}),
    desired=frozenset({CORE}),
    generation=7,
    reach=EVERYBODY,
    keys=ResolvedKeys({}, Reason.NO_KEYS),
)
WORLD = ClusterSnapshot(now_ms=NOW, pods=dict.fromkeys(PODS, NOW))


def resource(generation: int = 3, status: Status | None = None) -> Resource:
    meta = {"namespace": "vt", "name": "one", "generation": generation}
    body: dict[str, Any] = {"metadata": meta, "spec": {"sessionId": "live-001"}}
    return Resource.from_body(
        {**body, "status": (status or Status()).model_dump(mode="json", by_alias=True)}
    )


def said(status: Status, kind: str = "Ready") -> tuple[str, str, str]:
    condition = status.condition(kind)
    assert condition is not None
    return condition.status, condition.reason, condition.message


def test_times_change_with_the_status_of_a_condition_and_not_with_its_reason() -> None:
    waiting = replace(DONE, reach=RolloutProgress(written=True, behind=("engine-0",)))
    first = status_of(WORLD, resource(), waiting)
    later = replace(WORLD, now_ms=NOW + 60_000)
    second = status_of(later, resource(status=first), replace(waiting, changed=True))
    for kind in CONDITION_TYPES:
        before, after = first.condition(kind), second.condition(kind)
        assert before is not None
        assert after is not None
        assert before.last_transition_time == after.last_transition_time == time_text(NOW)
    assert said(first)[1] != said(second)[1], "the reason is another one"
    third = status_of(replace(WORLD, now_ms=NOW + 120_000), resource(status=second), DONE)
    changed = {each.type: each.last_transition_time for each in third.conditions}
    assert (
        changed["Ready"]
        == changed["Reconciling"]
        == changed["FlagsApplied"]
        == time_text(NOW + 120_000)
    )
    assert changed["Stalled"] == changed["Suspended"] == time_text(NOW)


def test_a_flags_time_is_of_its_phase() -> None:
    moving = replace(
        DONE,
        effective=frozenset({CORE, STREAMING}),
        desired=frozenset({CORE, STREAMING}),
        in_transit=STREAMING,
    )
    first = status_of(
        WORLD,
        resource(),
        replace(moving, reach=RolloutProgress(written=True, behind=("engine-0",))),
    )
    second = status_of(
        replace(WORLD, now_ms=NOW + 60_000),
        resource(status=first),
        replace(moving, in_transit=None),
    )
    phases = {flag.name: (flag.phase, flag.since) for flag in second.flags}
    assert phases[STREAMING] == (FlagPhase.ON, time_text(NOW + 60_000))
    assert phases[CORE] == (FlagPhase.ON, time_text(NOW))


@pytest.mark.parametrize(
    ("facts", "world", "truth", "reason", "words"),
    [
        (DONE, WORLD, "True", "Ready", "every live pod goes by CORE"),
        (replace(DONE, changed=True), WORLD, "Unknown", "Progressing", "waiting for 2 pods"),
        (DONE, replace(WORLD, pods={}), "False", "NoLivePods", "vtuber.dev/flags"),
        (replace(DONE, reach=RolloutProgress(written=False)), WORLD, "Unknown", "WaitingForPods", "the write to Redis"),
        (
            replace(DONE, reach=RolloutProgress(True, PODS, ("b",)), late=True, deadline_ms=9_000),
            WORLD, "False", "PodsNotAcknowledging", "9 s",
        ),
        (replace(DONE, reach=RolloutProgress(False)), replace(WORLD, redis_down="TimeoutError"), "False", "RedisDown", "keep the flags"),
        (replace(DONE, desired=frozenset({CORE, STREAMING}), suspended=True), WORLD, "False", "Suspended", "suspend is true"),
        (replace(DONE, keys=ResolvedKeys({}, Reason.KEY_MISSING, "no key")), WORLD, "False", "KeyMissing", "no key"),
        (
            replace(
                DONE,
                keys=ResolvedKeys({}, Reason.KEYS_READY),
                reach=RolloutProgress(True, PODS, (), ("b",)),
            ),
            WORLD, "False", "KeyNotMounted", "b yet",
        ),
        (
            replace(DONE, unserved=((Flag.ENABLE_LTM, "b cannot serve ENABLE_LTM"),)),
            WORLD, "False", "FlagUnsupported", "b cannot",
        ),
        (replace(DONE, stalled=ConditionValue("False", Reason.INVALID_SPEC, "spec.flags")), WORLD, "False", "InvalidSpec", "spec.flags"),
    ],
)  # fmt: skip
def test_ready_says_why_in_a_word_and_a_sentence(
    facts: RolloutFacts, world: ClusterSnapshot, truth: str, reason: str, words: str
) -> None:
    status = status_of(world, resource(), facts)
    assert said(status)[:2] == (truth, reason)
    assert words in said(status)[2]


def test_a_flag_that_cannot_be_served_needs_a_person() -> None:
    unserved = replace(DONE, unserved=((Flag.ENABLE_LTM, "ENABLE_LTM is on, but …"),))
    status = status_of(WORLD, resource(), unserved)
    assert status.phase is Phase.STALLED
    assert said(status, "Stalled")[:2] == ("True", "FlagUnsupported")
    assert said(status, "Reconciling")[:2] == ("False", "FlagUnsupported")
    assert said(status, "FlagsApplied")[0] == "True", "pods go by it, as far as they can"


def test_redis_away_takes_nothing_back_that_was_said_of_this_very_spec() -> None:
    away = replace(WORLD, redis_down="ConnectionError")
    unread = replace(DONE, reach=RolloutProgress(written=False))
    ready = status_of(WORLD, resource(), DONE)
    assert said(status_of(away, resource(status=ready), unread))[0] == "True"
    assert said(status_of(away, resource(generation=4, status=ready), unread))[:2] == (
        "False",
        "RedisDown",
    )


def test_a_sentence_is_cut_before_the_api_server_refuses_it() -> None:
    status = status_of(
        WORLD,
        resource(),
        replace(DONE, stalled=ConditionValue("False", Reason.INVALID_SPEC, "x" * 5_000)),
    )
    assert len(said(status)[2]) <= 1_024
    assert said(status, "Stalled")[0] == "True"


SUBSETS = (frozenset(some) for size in range(len(Flag) + 1) for some in combinations(Flag, size))
SETS = st.sampled_from([on for on in SUBSETS if validate(flag_set(on)) == []])
POD_NAMES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple)
KEYS = st.sampled_from(
    [
        ResolvedKeys({}, Reason.NO_KEYS),
        ResolvedKeys({}, Reason.KEYS_READY),
        ResolvedKeys({}, Reason.SECRET_MISSING, "none"),
    ]
)
FACTS = st.builds(
    RolloutFacts,
    effective=SETS,
    desired=SETS,
    generation=st.integers(0, 9),
    reach=st.builds(
        RolloutProgress,
        written=st.booleans(),
        acknowledged=POD_NAMES.map(frozenset),
        behind=POD_NAMES,
        missing_keys=POD_NAMES,
    ),
    keys=KEYS,
    suspended=st.booleans(),
    late=st.booleans(),
    changed=st.booleans(),
    in_transit=st.none() | st.sampled_from(list(Flag)),
    stalled=st.none() | st.just(ConditionValue("False", Reason.SESSION_TAKEN, "taken")),
)


@given(
    st.lists(
        st.tuples(FACTS, st.sampled_from([{}, {"a": NOW}]), st.none() | st.just("TimeoutError")),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_happens_readers_can_go_by_it(
    history: list[tuple[RolloutFacts, dict[str, int], str | None]],
) -> None:
    status, now = Status(), NOW
    for generation, (facts, pods, down) in enumerate(history, start=1):
        now += 1_000
        before = status
        world = ClusterSnapshot(now_ms=now, pods=pods, redis_down=down)
        status = status_of(world, resource(generation, before), facts)
        assert tuple(each.type for each in status.conditions) == CONDITION_TYPES
        assert (
            {each.observed_generation for each in status.conditions}
            == {status.observed_generation}
            == {generation}
        )
        truths = {each.type: each.status for each in status.conditions}
        working = [kind for kind in ("Ready", "Reconciling", "Stalled") if truths[kind] == "True"]
        assert len(working) == 1 or (working == [] and status.phase is Phase.SUSPENDED), (
            "exactly one of the three, unless it rests"
        )
        assert (truths["Ready"] == "True") <= (
            truths["FlagsApplied"] == truths["SecretsReady"] == "True"
        )
        for each in status.conditions:
            old = before.condition(each.type)
            moved = old is None or old.status != each.status
            assert (each.last_transition_time == time_text(now)) is moved
            assert each.reason in set(Reason)
            assert each.message
        assert status.effective == short_names(facts.effective)
        assert status.on() == facts.effective
        assert Status.model_validate(status.model_dump(mode="json", by_alias=True)) == status
