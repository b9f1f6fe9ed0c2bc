"""Helm 3 or 4, a namespace where only `restricted` pods may run, and she talks.

Before a VtuberSession, after one, and by `helm test`.
"""

from collections.abc import Callable

import aiohttp

from e2e.kind import timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.programs import ROOT
from e2e.kind.release import Release


async def test_install_talk_test_and_remove(
    namespace: Namespace, release: Callable[..., Release], helm: str
) -> None:
    chart = release(helm)
    said = chart.upgrade()
    assert "kubectl apply" in said, "the notes tell what to do next"

    place = room(namespace)
    async with aiohttp.ClientSession() as http, http.get(f"http://{place.at}/") as page:
        assert page.status == 200
        assert "<html" in await page.text()
    answer = await place.talks_again()
    assert answer.text, "she writes without any VtuberSession"

    namespace.kubectl("apply", "-f", str(ROOT / "crds" / "examples" / "everyone.yaml"))
    ready = f"--timeout={timeouts.SESSION_READY:.0f}s"
    namespace.kubectl(
        "wait", "vts/everyone", "--for=condition=Ready", ready, within=timeouts.SESSION_READY + 5
    )
    answer, viewer = await place.say_and_hear()
    assert answer.events[-1] == "done"
    assert viewer.seconds_of(answer.turn) > 1, "and speaks once one says so"

    chart.run("test", "--logs", within=timeouts.SESSION_READY)
    assert namespace.restarts() == 0

    chart.uninstall()
    left = namespace.kubectl(
        "get",
        "deployments,statefulsets,services,networkpolicies,roles,vtubersessions",
        "-o",
        "name",
    ).split()
    assert left == ["vtubersession.vtuber.dev/everyone"], (
        "what people made stays, what the chart made goes"
    )
    namespace.kubectl("delete", "vts", "--all", f"--timeout={timeouts.COMMAND - 5:.0f}s")
