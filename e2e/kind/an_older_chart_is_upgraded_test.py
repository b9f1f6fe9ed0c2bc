"""From the chart before this one, with a VtuberSession of its time.

Nothing that was said or set is lost.
"""

from collections.abc import Callable
from dataclasses import replace

from e2e.kind import images, sessions
from e2e.kind.client import room
from e2e.kind.conftest import SMALL
from e2e.kind.namespace import Namespace
from e2e.kind.release import CHART, PREVIOUS, Release

NEW_SINCE = ("legacy.", "microphone.", "asyncWorkers")
KNOWN_THEN = [value for value in SMALL if not value.startswith(NEW_SINCE)]


async def test_turns_sessions_and_flags_are_what_they_were(
    namespace: Namespace, built: dict[str, str], release: Callable[..., Release]
) -> None:
    then = {section: image for section, image in built.items() if not section.startswith(NEW_SINCE)}
    older = Release(
        namespace, [*images.values(then), "--set", ",".join(KNOWN_THEN)], chart=PREVIOUS
    )
    older.upgrade()
    namespace.kubectl("apply", "-f", str(PREVIOUS.parent / "live-001.yaml"))
    sessions.ready(namespace, "live-001")
    place = replace(room(namespace), session="live-001")
    first = await place.talks_again()
    before = sessions.status(namespace, "live-001")
    assert before["effective"] == "CORE,STREAMING,BARGE_IN"

    newer = release("helm", "--set", "legacy.enabled=true")
    assert newer.chart == CHART
    newer.upgrade()

    sessions.ready(namespace, "live-001")
    after = sessions.status(namespace, "live-001")
    assert after["effective"] == before["effective"]
    second, viewer = await place.say_and_hear()
    assert second.turn > first.turn
    assert viewer.seconds_of(second.turn) > 1
    assert {first.turn, second.turn} <= set(await place.turns())
    assert namespace.restarts() == 0
