"""Bad input to the API: each a sentence that names what is wrong, nothing left stuck.

The definition does it; no operator runs.
"""

from typing import Any

import pytest

from e2e.kind import sessions, timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.sessions import resource

KEY = {"secretKeyRef": {"name": "openai", "key": "api-key"}}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            resource("bad", "live-001", {"SYNC_TTS_BARGE_IN": True}),
            "SYNC_TTS_BARGE_IN needs SYNC_TTS_STREAMING",
        ),
        (
            resource("bad", "live-001", {"SYNC_TTS_STREAMING": True, "ENABLE_SYNC_CORE": False}),
            "needs ENABLE_SYNC_CORE",
        ),
        (
            resource("bad", "live-001", {"ENABLE_LTM": True}),
            "ENABLE_LTM needs ENABLE_STREAMS_OUTBOX",
        ),
        (resource("bad", "live 001"), "spec.sessionId"),
        (resource("bad", "live-001", {"SYNC_TTS_STREAMNIG": True}), "SYNC_TTS_STREAMNIG"),
        (resource("bad", "live-001", {"ENABLE_LTM": "yes"}), "ENABLE_LTM"),  # type: ignore[dict-item]
        (
            resource("bad", "live-001", persona={"instructions": "x" * 4_001}),
            "spec.persona.instructions",
        ),
        (resource("bad", "live-001", llm={"provider": "rules", "model": "gpt"}), "openai"),
        (
            resource("bad", "live-001", llm={"provider": "openai", "baseUrl": "ftp://x"}),
            "spec.llm.baseUrl",
        ),
        (
            {
                "apiVersion": "vtuber.dev/v1alpha1",
                "kind": "VtuberSession",
                "metadata": {"name": "bad"},
                "spec": {},
            },
            "sessionId",
        ),
    ],
)
def test_refused_with_a_sentence(namespace: Namespace, wanted: dict[str, Any], said: str) -> None:
    assert said in sessions.refusal(namespace, wanted)
    assert namespace.sessions() == []


def test_the_session_of_a_resource_never_changes(namespace: Namespace) -> None:
    sessions.apply(namespace, resource("fixed", "live-001"))
    assert "sessionId" in sessions.refusal(namespace, resource("fixed", "live-002"))
    namespace.kubectl("delete", "vts", "fixed", f"--timeout={timeouts.COMMAND - 5:.0f}s")


def test_every_field_explains_itself(namespace: Namespace) -> None:
    for field in (
        "spec",
        "spec.flags",
        "spec.persona",
        "spec.llm",
        "spec.llm.apiKey.secretKeyRef",
        "spec.voice",
        "spec.rollout",
        "status",
    ):
        said = namespace.kubectl("explain", f"vts.{field}")
        assert "<empty>" not in said, field


def test_without_the_definition_kubectl_says_what_is_missing(namespace: Namespace) -> None:
    other = resource("bad", "live-001") | {"apiVersion": "vtuber.dev/v1beta9"}
    assert "no matches for kind" in sessions.refusal(namespace, other)
