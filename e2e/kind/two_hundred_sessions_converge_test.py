"""Two hundred VtuberSessions applied at once are all ready within half a minute."""

import time
from collections.abc import Callable

import pytest

from e2e.kind import sessions, timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.sessions import INTERRUPTIBLE

OPERATOR = ("--set", "operator.enabled=true")
MANY = 200

pytestmark = pytest.mark.alone
"""A promise in seconds."""


def test_all_are_ready(namespace: Namespace, release: Callable[..., Release]) -> None:
    release("helm", *OPERATOR).upgrade()
    sessions.apply(
        namespace,
        *(
            sessions.resource(f"show-{number:03}", f"show-{number:03}", INTERRUPTIBLE)
            for number in range(MANY)
        ),
    )
    applied = time.monotonic()

    def unready() -> int:
        found = namespace.sessions()
        return MANY - sum(
            any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in item.get("status", {}).get("conditions", [])
            )
            for item in found
        )

    namespace.until(f"{MANY} ready", lambda: unready() == 0, timeouts.MANY_READY)
    print(
        f"{MANY} resources: all ready {time.monotonic() - applied:.1f} s after the last was applied"
    )
    assert namespace.restarts() == 0
