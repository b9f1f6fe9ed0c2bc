"""The decision: steps, conditions, keys, and any sequence of events.

One file of more than 400 lines: the planner is one function, and each test is one story of the
same cluster in memory; the last one is any story at all.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialog_flags.flags import REQUIRES, Flag
from vtuber_operator.plan.flag_steps import ORDER
from vtuber_operator.plan.planner import make_plan
from vtuber_operator.plan.snapshot import Acknowledgement, ClusterSnapshot, SecretSeen
from vtuber_operator.testing.in_memory_cluster import (
    BARGE_IN,
    LTM,
    OUTBOX,
    START_MS,
    STREAMING,
    InMemoryCluster,
    spec,
)

KEYED = {
    "provider": "openai",
    "model": "gpt",
    "apiKey": {"secretKeyRef": {"name": "openai", "key": "token"}},
}


@pytest.fixture
def cluster() -> InMemoryCluster:
    return InMemoryCluster(pods={"engine-0": START_MS, "input-0": START_MS})


def test_the_order_puts_every_flag_after_the_one_it_needs() -> None:
    assert set(ORDER) == set(Flag)
    assert all(ORDER.index(flag) > ORDER.index(needed) for flag, needed in REQUIRES.items())


def test_nothing_is_known_and_nothing_is_done() -> None:
    plan = make_plan(ClusterSnapshot(now_ms=START_MS))
    assert (plan.statuses, plan.documents, plan.keys) == ((), {}, {})


def test_flags_go_on_one_by_one_each_after_every_pod_has_acknowledged(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING, BARGE_IN))
    cluster.operate()
    first = cluster.status("one")
    assert (first.observed_generation, first.effective, first.step) == (1, "CORE", "1/3")
    assert cluster.ready("one") == ("Unknown", "WaitingForPods") or cluster.ready("one") == (
        "Unknown",
        "Progressing",
    )
    reconciling = first.condition("Reconciling")
    assert reconciling is not None
    assert reconciling.status == "True"

    cluster.acknowledge("engine-0")
    cluster.operate()
    assert cluster.status("one").effective == "CORE"

    cluster.acknowledge()
    cluster.operate()
    second = cluster.status("one")
    assert (second.effective, second.step) == ("CORE,STREAMING", "2/3 SYNC_TTS_STREAMING")
    assert second.generation > first.generation

    cluster.acknowledge()
    cluster.operate()
    assert cluster.status("one").step == "3/3 SYNC_TTS_BARGE_IN"
    assert cluster.ready("one")[0] == "Unknown"
    cluster.acknowledge()
    cluster.operate()
    assert cluster.ready("one") == ("True", "Ready")
    assert cluster.status("one").phase == "Ready"
    assert [reason for _, reason in cluster.events] == ["FlagOn", "FlagOn", "Ready"]
    assert not cluster.decide().statuses, "a decision that was carried out decides nothing more"


def test_a_spec_change_is_observed_before_ready_is_said_again(cluster: InMemoryCluster) -> None:
    cluster.apply("one", spec())
    cluster.settle()
    cluster.apply("one", spec("live-001", persona={"instructions": "Be brief."}))
    cluster.write_statuses(cluster.decide())
    status = cluster.status("one")
    assert status.observed_generation == 2
    assert cluster.ready("one")[0] == "Unknown"
    cluster.settle()
    assert cluster.ready("one") == ("True", "Ready")
    assert cluster.status("one").generation == status.generation, "a persona is no flag"


def test_off_goes_in_reverse_and_does_not_wait_for_a_silent_pod_forever(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING, BARGE_IN))
    cluster.settle()
    cluster.apply("one", spec("live-001", core=False))
    cluster.operate()
    assert cluster.status("one").effective == "CORE,STREAMING"
    assert cluster.status("one").step == "0/0 off SYNC_TTS_BARGE_IN"
    cluster.acknowledge("engine-0")
    cluster.operate()
    assert cluster.status("one").effective == "CORE,STREAMING"
    cluster.now_ms += 61_000
    cluster.acknowledge("engine-0")
    cluster.operate()
    assert cluster.status("one").effective == "CORE"


def test_a_flag_on_its_way_is_taken_back_at_once(cluster: InMemoryCluster) -> None:
    cluster.apply("one", spec("live-001"))
    cluster.settle()
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.operate()
    assert cluster.status("one").effective == "CORE,STREAMING"
    cluster.apply("one", spec("live-001"))
    cluster.operate()
    assert cluster.status("one").effective == "CORE"


def test_suspend_stops_turning_on_but_not_turning_off(cluster: InMemoryCluster) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    cluster.apply("one", spec("live-001", STREAMING, BARGE_IN, rollout={"suspend": True}))
    cluster.settle()
    assert cluster.ready("one") == ("False", "Suspended")
    assert cluster.status("one").phase == "Suspended"
    assert {flag.name: flag.phase for flag in cluster.status("one").flags}[
        Flag.SYNC_TTS_BARGE_IN
    ] == "Suspended"
    cluster.apply("one", spec("live-001", rollout={"suspend": True}))
    cluster.settle()
    assert cluster.ready("one") == ("True", "Ready")
    assert cluster.status("one").effective == "CORE"


def test_without_live_pods_the_first_step_waits_and_the_document_is_there(
    cluster: InMemoryCluster,
) -> None:
    cluster.pods = {}
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    assert cluster.ready("one") == ("False", "NoLivePods")
    assert cluster.status("one").phase == "Pending"
    assert cluster.redis["live-001"].generation > 0
    cluster.pods = {"engine-0": cluster.now_ms}
    cluster.settle()
    assert cluster.ready("one") == ("True", "Ready")


def test_a_pod_that_owes_its_acknowledgement_is_named_after_the_deadline(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.operate()
    cluster.acknowledge("input-0")
    cluster.now_ms += 61_000
    cluster.acknowledge("input-0")
    cluster.operate()
    ready = cluster.status("one").condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "PodsNotAcknowledging")
    assert "engine-0" in ready.message
    assert "input-0" not in ready.message
    assert ("one", "PodsNotAcknowledging") in cluster.events


def test_a_new_pod_does_not_take_ready_back_unless_it_stays_behind(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    cluster.now_ms += 100_000
    cluster.pods["engine-1"] = cluster.now_ms
    cluster.acks = {
        pod: Acknowledgement(cluster.revision, cluster.now_ms) for pod in ("engine-0", "input-0")
    }
    cluster.operate()
    assert cluster.ready("one") == ("True", "Ready")
    cluster.now_ms += 61_000
    cluster.acks = {
        pod: Acknowledgement(cluster.revision, cluster.now_ms) for pod in ("engine-0", "input-0")
    }
    cluster.operate()
    assert cluster.ready("one") == ("False", "PodsNotAcknowledging")


def test_redis_away_keeps_what_was_ready_and_says_so_of_what_was_not(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    cluster.redis_down = "ConnectionError"
    cluster.now_ms += 100_000
    cluster.apply("two", spec("live-002"))
    cluster.operate()
    assert cluster.ready("one") == ("True", "Ready")
    assert cluster.ready("two") == ("Unknown", "Progressing")
    cluster.operate()
    assert cluster.ready("two") == ("False", "RedisDown")
    ready = cluster.status("one").condition("Ready")
    assert ready is not None
    assert "ConnectionError" in ready.message
    cluster.redis_down = None
    cluster.settle()
    assert cluster.ready("two") == ("True", "Ready")


def test_a_session_starts_with_what_is_on_for_everyone_and_wanted_now(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("everyone", spec("*", STREAMING, OUTBOX))
    cluster.settle()
    cluster.apply("one", spec("live-001", STREAMING, BARGE_IN))
    cluster.operate()
    assert cluster.status("one").effective == "CORE,STREAMING"


def test_a_flag_that_a_pod_cannot_serve_is_not_ready_until_it_is_off_or_can_be_served(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", OUTBOX, LTM))
    cluster.apply("two", spec("live-002", OUTBOX))
    cluster.settle()
    assert cluster.ready("one") == ("True", "Ready")
    pod = sorted(cluster.pods)[0]
    cluster.acknowledge(pod, unsupported=frozenset({(Flag.ENABLE_LTM, "it is not built")}))
    cluster.operate()
    assert cluster.ready("one") == ("False", "FlagUnsupported")
    ready = cluster.status("one").condition("Ready")
    assert ready is not None
    assert ready.message == f"ENABLE_LTM is on, but {pod} cannot serve it: it is not built"
    assert cluster.ready("two") == ("True", "Ready"), "it does not use the flag"
    cluster.acknowledge(pod)
    cluster.operate()
    assert cluster.ready("one") == ("True", "Ready")


def test_the_older_resource_has_the_session_and_the_other_says_so(cluster: InMemoryCluster) -> None:
    cluster.apply("first", spec("live-001", STREAMING))
    cluster.now_ms += 1_000
    cluster.apply("second", spec("live-001", OUTBOX))
    cluster.settle()
    assert cluster.ready("second") == ("False", "SessionTaken")
    stalled = cluster.status("second").condition("Stalled")
    assert stalled is not None
    assert stalled.status == "True"
    assert "live/first" in stalled.message
    assert '"resource":"live/first"' in cluster.redis["live-001"].text
    cluster.delete("first")
    cluster.settle()
    assert cluster.ready("second") == ("True", "Ready")
    assert cluster.status("second").effective == "CORE,OUTBOX"


def test_an_invalid_spec_keeps_the_last_flags(cluster: InMemoryCluster) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    generation = cluster.status("one").generation
    cluster.apply("one", spec("live-001", BARGE_IN))
    cluster.settle()
    stalled = cluster.status("one").condition("Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "InvalidSpec")
    assert "SYNC_TTS_STREAMING" in stalled.message
    assert (cluster.status("one").effective, cluster.status("one").generation) == (
        "CORE,STREAMING",
        generation,
    )
    cluster.apply("one", {"sessionId": "live-001", "flags": {"ENABLE_SYNC_CORE": "secret-value"}})
    cluster.settle()
    assert cluster.served["live-001"].SYNC_TTS_STREAMING
    assert "secret-value" not in cluster.status("one").model_dump_json()


def test_a_missing_key_leaves_its_section_out_until_it_comes(cluster: InMemoryCluster) -> None:
    cluster.apply("one", spec("live-001", STREAMING, llm=KEYED, persona={"lang": "zh"}))
    cluster.settle()
    assert cluster.ready("one") == ("False", "SecretMissing")
    assert cluster.status("one").effective == "CORE,STREAMING", "flags do not wait for keys"
    assert '"llm"' not in cluster.redis["live-001"].text
    assert '"lang":"zh"' in cluster.redis["live-001"].text

    cluster.secrets["live", "openai"] = SecretSeen(frozenset({"other"}), "41")
    cluster.settle()
    assert cluster.ready("one") == ("False", "KeyMissing")
    cluster.secrets["live", "openai"] = SecretSeen(frozenset({"token"}), "42")
    file = "live.openai.token.42"
    plan = cluster.operate()
    assert set(plan.keys) == {file}
    assert f'"apiKeyFile":"{file}"' in cluster.redis["live-001"].text
    cluster.acknowledge(missing=frozenset({file}))
    cluster.operate()
    assert cluster.ready("one") == ("False", "KeyNotMounted")
    assert cluster.decide().keep_old_keys
    cluster.acknowledge()
    cluster.operate()
    assert cluster.ready("one") == ("True", "Ready")
    assert not cluster.decide().keep_old_keys
    assert [reason for _, reason in cluster.events if reason.startswith(("Key", "Secret"))] == [
        "SecretMissing",
        "KeyMissing",
        "KeyNotMounted",
        "KeysReady",
    ]


def test_a_rotated_key_is_a_new_document_and_ready_waits_for_it(cluster: InMemoryCluster) -> None:
    cluster.secrets["live", "openai"] = SecretSeen(frozenset({"token"}), "42")
    cluster.apply("one", spec("live-001", llm=KEYED))
    cluster.settle()
    cluster.secrets["live", "openai"] = SecretSeen(frozenset({"token"}), "57")
    cluster.write_statuses(cluster.decide())
    assert cluster.ready("one")[0] == "Unknown"
    cluster.settle()
    assert "live.openai.token.57" in cluster.redis["live-001"].text


def test_a_generation_never_comes_twice_even_when_the_clock_stands_still(
    cluster: InMemoryCluster,
) -> None:
    cluster.apply("one", spec("live-001", STREAMING))
    cluster.settle()
    before = cluster.status("one").generation
    cluster.delete("one")
    cluster.now_ms = START_MS
    cluster.apply("one", spec("live-001"))
    cluster.write_statuses(cluster.decide())
    assert cluster.status("one").generation > before


FLAGS = st.sets(st.sampled_from([STREAMING, BARGE_IN, OUTBOX, LTM, "ENABLE_SYNC_CORE"]))


def _closed(flags: set[str]) -> dict[str, bool]:
    kept = {flag for flag in flags if all(need in flags for need in _needs(flag))}
    return {str(flag): str(flag) in kept for flag in Flag}


def _needs(flag: str) -> list[str]:
    needed = REQUIRES.get(Flag(flag))
    return [] if needed is None else [str(needed), *_needs(needed)]


ACTIONS = st.one_of(
    st.tuples(st.just("apply"), st.sampled_from(["a", "b", "everyone"]), FLAGS, st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from(["a", "b", "everyone"])),
    st.tuples(st.just("pod"), st.sampled_from(["p0", "p1", "p2"])),
    st.tuples(st.just("acknowledge"), st.sampled_from(["p0", "p1", "p2"])),
    st.tuples(st.just("statuses"), st.integers(1, 3)),
    st.tuples(st.just("documents")),
    st.tuples(st.just("wipe")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("time"), st.sampled_from([1, 20_000, 70_000])),
    st.tuples(st.just("redis"), st.booleans()),
)


def _act(cluster: InMemoryCluster, action: tuple[Any, ...]) -> None:
    kind, *rest = action
    if kind == "apply":
        name, flags, suspend = rest
        session = "*" if name == "everyone" else "live-001"
        cluster.apply(
            name, {"sessionId": session, "flags": _closed(flags), "rollout": {"suspend": suspend}}
        )
    elif kind == "delete":
        cluster.delete(rest[0])
    elif kind == "pod":
        if cluster.pods.pop(rest[0], None) is None:
            cluster.pods[rest[0]] = cluster.now_ms
    elif kind == "acknowledge":
        if rest[0] in cluster.pods:
            cluster.acknowledge(rest[0])
    elif kind == "statuses":
        cluster.write_statuses(cluster.decide(), at_most=rest[0])
    elif kind == "documents":
        cluster.write_documents(cluster.decide())
    elif kind == "wipe" and cluster.redis_down is None:
        cluster.redis = {}
    elif kind == "restart":
        # What the operator knew of revisions is gone: the present one counts for every document
        # (ADR 8).
        cluster.redis = {
            name: type(each)(each.text, cluster.revision, each.generation)
            for name, each in cluster.redis.items()
        }
    elif kind == "time":
        cluster.now_ms += rest[0]
    elif kind == "redis":
        cluster.redis_down = None if rest[0] else "TimeoutError"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTIONS, max_size=40))
def test_any_sequence_converges_and_shows_no_illegal_set_in_between(
    actions: list[tuple[Any, ...]],
) -> None:
    cluster = InMemoryCluster(pods={"p0": START_MS})
    for action in actions:
        _act(cluster, action)
        cluster.now_ms += 1
    cluster.redis_down = None
    cluster.pods.setdefault("p0", cluster.now_ms)
    cluster.settle()
    owners: dict[str, str] = {}
    for (_, name), body in sorted(
        cluster.bodies.items(), key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0])
    ):
        session = body["spec"]["sessionId"]
        if owners.setdefault(session, name) != name:
            assert cluster.ready(name) == ("False", "SessionTaken")
            continue
        wanted = {flag for flag in Flag if body["spec"]["flags"][flag]}
        on = cluster.status(name).on()
        if body["spec"]["rollout"]["suspend"]:
            assert on <= wanted
        else:
            assert on == wanted
            assert cluster.ready(name) == ("True", "Ready")
    assert cluster.redis.keys() == owners.keys()
    cluster.now_ms += 1_000
    cluster.acknowledge()
    assert cluster.decide().statuses == (), "at rest, time alone changes nothing"
