"""`operator.clusterWide`: VtuberSessions of any namespace steer the release.

The oldest of a session wins anywhere; namespaces go.
"""

from collections.abc import Callable

import pytest

from e2e.kind import sessions, timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.sessions import INTERRUPTIBLE

pytestmark = pytest.mark.alone
"""Its operator has a say in everybody's sessions."""


async def test_a_session_is_steered_from_another_namespace(
    namespace: Namespace, beside: Namespace, release: Callable[..., Release]
) -> None:
    chart = release("helm", "--set", "operator.enabled=true,operator.clusterWide=true")
    chart.upgrade()
    place, second = room(namespace), room(namespace)
    assert (await place.talks_again()).stats["voice"] == "off"

    sessions.apply(beside, sessions.resource("show", place.session, INTERRUPTIBLE))
    sessions.ready(beside, "show")
    assert (await place.say()).stats["voice"] == "espeak"
    # The operator writes events behind its back: they may be a moment later than the status.
    told = lambda: "FlagOn" in beside.kubectl("describe", "vts", "show")  # noqa: E731
    beside.until("its story is told where it is", told, timeouts.STORY_TOLD)

    # A younger one of the same session, beside the release: it says whose turn it is.
    sessions.apply(namespace, sessions.resource("late", place.session, {}))
    namespace.until(
        "the younger one knows",
        lambda: sessions.condition(namespace, "late", "Ready").get("status") == "False",
        20,
    )
    assert f"{beside.name}/show" in sessions.condition(namespace, "late", "Ready")["message"]
    assert (await place.say()).stats["voice"] == "espeak"

    # The older one's namespace goes, with all that is in it: nothing holds it, and the younger one
    # follows.
    beside.kubectl("delete", "namespace", beside.name, "--timeout=60s", within=65)
    sessions.ready(namespace, "late")
    assert (await place.say()).stats["voice"] == "off"

    sessions.apply(namespace, sessions.resource("here", second.session, INTERRUPTIBLE))
    sessions.ready(namespace, "here")
    assert (await second.say()).stats["voice"] == "espeak", "its own namespace is one of all"
    assert namespace.restarts() == 0

    chart.uninstall()
    left = namespace.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert namespace.name not in left, "nothing of it stays in the cluster"
