"""An upgrade that cannot work harms nobody.

Those who talk go on talking, Helm goes back, and turns and settings are what they were.
"""

from collections.abc import Callable

import pytest

from e2e.kind import sessions, timeouts
from e2e.kind.client import STREAMED, room
from e2e.kind.conftest import HELMS
from e2e.kind.namespace import Namespace
from e2e.kind.programs import CommandFailed
from e2e.kind.release import Release
from e2e.kind.sessions import INTERRUPTIBLE

# As images are named by the fixture: of --set and --set-string, Helm lets the latter win, whatever
# their order.
NO_SUCH_IMAGE = (
    "--set-string",
    "gateway.image.tag=never-built,inputHandler.image.tag=never-built,outputHandler.image.tag=never-built",
)
NEVER_READY = (
    "--set-json",
    'inputHandler.extraEnv=[{"name":"PORT","value":"9999"}]',
    "--set-json",
    'gateway.extraEnv=[{"name":"PORT","value":"9999"}]',
)
NO_SUCH_ENGINE = ("--set-string", "dialogEngine.image.tag=never-built")


# One way to be broken for each Helm: they differ in how they wait, not in what they wait for.
@pytest.mark.parametrize(
    ("helm", "broken"),
    [(HELMS[0], NO_SUCH_IMAGE), (HELMS[-1], NEVER_READY)],
    ids=["an image that is nowhere", "a probe that never succeeds"],
)
async def test_helm_goes_back_by_itself(
    namespace: Namespace, release: Callable[..., Release], helm: str, broken: tuple[str, ...]
) -> None:
    chart = release(helm, "--set", STREAMED)
    chart.upgrade()
    place = room(namespace)
    first = await place.talks_again()
    before = {pod["metadata"]["name"] for pod in namespace.pods("gateway")}

    with pytest.raises(CommandFailed):
        chart.upgrade_or_go_back(*broken, within=timeouts.BROKEN_UPGRADE_NOTICED)

    assert {pod["metadata"]["name"] for pod in namespace.pods("gateway")} == before, (
        "who answers is who answered before"
    )
    second, viewer = await place.say_and_hear()
    assert second.turn == first.turn + 1
    assert viewer.seconds_of(second.turn) > 1
    assert await place.turns() == [first.turn, second.turn]
    assert namespace.restarts() == 0


async def test_rollback_mends_an_engine_that_cannot_start(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    """The one pod of a StatefulSet is gone once its successor fails.

    The way back must not wait for the broken one to get well.
    """
    chart = release("helm", "--set", "operator.enabled=true")
    chart.upgrade()
    place = room(namespace)
    first = await place.talks_again()
    sessions.apply(namespace, sessions.resource("on-air", place.session, INTERRUPTIBLE))
    sessions.ready(namespace, "on-air")
    chart.upgrade(*NO_SUCH_ENGINE, wait=False)
    namespace.until(
        "the broken engine",
        lambda: any(
            "never-built" in pod["spec"]["containers"][0]["image"]
            for pod in namespace.pods("dialog-engine")
        ),
        timeouts.POD_READY_AGAIN,
    )

    chart.rollback()

    second = await place.talks_again()
    assert second.turn > first.turn
    assert second.stats["voice"] == "espeak", "its flags are what they were"
    assert first.turn in await place.turns()
    assert sessions.status(namespace, "on-air")["effective"] == "CORE,STREAMING,BARGE_IN"
