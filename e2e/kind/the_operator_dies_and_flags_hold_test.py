"""The operator is killed in the middle of a step.

Flags hold while it is away, and it catches up within ten seconds.
"""

from collections.abc import Callable

from e2e.kind import sessions, timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.sessions import INTERRUPTIBLE

OPERATOR = ("--set", "operator.enabled=true")


async def test_killed_and_away(namespace: Namespace, release: Callable[..., Release]) -> None:
    release("helm", *OPERATOR).upgrade()
    place = room(namespace)
    await place.talks_again()
    sessions.apply(
        namespace,
        sessions.resource("on-air", place.session, {}),
        sessions.resource("gone", "to-go", INTERRUPTIBLE),
    )
    sessions.ready(namespace, "on-air")
    sessions.ready(namespace, "gone")

    # Two steps are asked for, and the operator dies as soon as the first begins.
    sessions.apply(namespace, sessions.resource("on-air", place.session, INTERRUPTIBLE))
    namespace.kubectl(
        "delete", "pod", "-l", "app.kubernetes.io/name=operator", "--grace-period=0", "--force"
    )
    assert (await place.say()).events[-1] == "done"
    namespace.until(
        "another operator pod", lambda: namespace.pods("operator"), timeouts.POD_READY_AGAIN
    )
    namespace.rolled_out("deployment/vtuber-operator")
    took = sessions.ready(namespace, "on-air", timeouts.OPERATOR_RESUMES)
    assert took < timeouts.OPERATOR_RESUMES
    assert sessions.status(namespace, "on-air")["observedGeneration"] == 2

    # Away for longer: what is deleted meanwhile is gone at its return, and nothing is stuck in
    # Terminating.
    namespace.kubectl("scale", "deployment/vtuber-operator", "--replicas=0")
    namespace.kubectl("delete", "vts", "gone", f"--timeout={timeouts.COMMAND - 5:.0f}s")
    # The reply before it may still sound, and was begun when nothing could interrupt it.
    assert (await place.talks_again()).stats["voice"] == "espeak", "flags hold"
    namespace.kubectl("scale", "deployment/vtuber-operator", "--replicas=1")
    namespace.rolled_out("deployment/vtuber-operator")

    def documents() -> str:
        return namespace.kubectl(
            "exec", "vtuber-redis-0", "--", "valkey-cli", "HKEYS", "vtuber:flags"
        )

    namespace.until(
        "its document is gone", lambda: "to-go" not in documents(), timeouts.OPERATOR_RESUMES
    )
    assert place.session in documents()
