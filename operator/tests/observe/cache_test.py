"""The newest of each object wins, and what is gone is gone."""

from typing import Any

from vtuber_operator.observe.cache import LabelledSecret, ResourceCache, ready_since
from vtuber_operator.plan.snapshot import SecretSeen
from vtuber_operator.testing.api_server import pod


def body(version: int, uid: str = "u1", name: str = "one", namespace: str = "vt") -> dict[str, Any]:
    meta = {
        "namespace": namespace,
        "name": name,
        "uid": uid,
        "generation": version,
        "resourceVersion": str(version),
    }
    return {"metadata": meta, "spec": {"sessionId": name}}


def observed() -> tuple[ResourceCache, list[int]]:
    changes: list[int] = []
    return ResourceCache(lambda: changes.append(1), pods_in="vt", sessions_in=["vt"]), changes


def test_an_older_event_does_not_undo_our_own_write() -> None:
    seen, changes = observed()
    seen.on_event("sessions", "ADDED", body(5))
    seen.written(body(9))
    seen.on_event("sessions", "MODIFIED", body(7))
    assert [resource.generation for resource in seen.resources()] == [9]
    assert len(changes) == 2


def test_the_answer_to_a_write_does_not_bring_back_what_was_deleted() -> None:
    seen, _ = observed()
    seen.on_event("sessions", "ADDED", body(5))
    seen.on_event("sessions", "DELETED", body(6))
    seen.written(body(7))
    assert seen.resources() == ()


def test_a_late_deletion_does_not_touch_the_new_object_of_that_name() -> None:
    seen, _ = observed()
    seen.on_event("sessions", None, body(8, uid="u2"))
    seen.on_event("sessions", "DELETED", body(6, uid="u1"))
    assert len(seen.resources()) == 1


def test_an_audit_forgets_only_what_was_known_before_the_list() -> None:
    seen, _ = observed()
    seen.on_event("sessions", None, body(5, name="old", uid="a"))
    before = seen.keys("sessions")
    seen.on_event("sessions", "ADDED", body(6, name="new", uid="b"))
    assert seen.resync("sessions", [], before) == 1
    assert {resource.name for resource in seen.resources()} == {"new"}


def test_other_namespaces_do_not_count() -> None:
    seen, _ = observed()
    seen.on_event("sessions", None, body(5, namespace="other"))
    seen.on_event("pods", None, {**pod("p"), "metadata": {"name": "p", "namespace": "other"}})
    assert seen.resources() == ()
    assert seen.live_pods() == {}


def test_a_pod_is_live_while_it_is_ready_and_not_ending() -> None:
    assert ready_since(pod("p")) == 1_767_225_600_000
    assert ready_since(pod("p", ready=False)) is None
    assert (
        ready_since(
            {**pod("p"), "metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        )
        is None
    )


def test_a_value_is_in_no_representation() -> None:
    assert "canary" not in repr(
        LabelledSecret(SecretSeen(frozenset({"token"}), "1"), {"token": "canary"})
    )
