"""One cluster for all cluster tests, a namespace for each.

Collected only when asked for (`make e2e`): plain `pytest` needs no Docker.
"""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.kind import cluster, diagnostics, images, once_per_run, programs, timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

SMALL = [
    "crds.enabled=false",
    # Five pods fewer to start in each namespace; tests about the fallback, and those of the
    # default, switch it on.
    "legacy.enabled=false",
    "microphone.enabled=false",
    "asyncWorkers.enabled=false",
    "gateway.service.type=NodePort",
    "gateway.replicas=1",
    "inputHandler.replicas=1",
    "outputHandler.replicas=1",
    "gateway.drainSeconds=5",
    "inputHandler.drainSeconds=5",
    "dialogEngine.drainSeconds=5",
    # Two workers' releases, and what is left of the ones before, on a node of two cores.
    "dialogEngine.resources.requests.cpu=100m",
    "outputHandler.resources.requests.cpu=50m",
    *(
        f"{section}.resources.requests.cpu=25m"
        for section in ("gateway", "inputHandler", "operator", "redis")
    ),
]
HERE = Path(__file__).parent
CLUSTER = "vtuber-e2e"
GIVEN = os.environ.get("KIND_E2E_CLUSTER")
HELMS = [
    name for name in os.environ.get("KIND_E2E_HELM", "helm helm4").split() if shutil.which(name)
] or ["helm"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked = (
        Path(config.invocation_params.dir, argument.split("::")[0]).resolve()
        for argument in config.args
    )
    return None if any(path.is_relative_to(HERE) for path in asked) else True


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        once_per_run.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and once_per_run.end() and GIVEN is None:
        cluster.delete(CLUSTER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not all(item.path.is_relative_to(HERE) for item in items):
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(timeouts.TEST, func_only=True))
    # So that all workers end about together: the longest first, and those that are alone when
    # nobody else is left to wait.
    items.sort(key=lambda item: (item.get_closest_marker("alone") is not None, -_limit_s(item)))


def _limit_s(item: pytest.Item) -> float:
    limit = item.get_closest_marker("timeout")
    return float(limit.args[0]) if limit is not None and limit.args else 0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    arguments = getattr(item, "funcargs", {})
    if report.failed and report.when in ("setup", "call") and "namespace" in arguments:
        report.sections.append(
            (
                "cluster",
                f"logs, events and descriptions: {diagnostics.collect(arguments['namespace'], item.name)}",
            )
        )


@pytest.fixture(scope="session")
def context() -> str:
    """A cluster. KIND_E2E_CLUSTER names one to use (or to create) and leave as it is.

    Else a new one is created, and removed.
    """
    programs.need("docker", "kind", "kubectl", "helm")
    name = GIVEN or CLUSTER

    def work() -> dict[str, str]:
        if GIVEN is None:
            cluster.create_anew(name)
        elif not cluster.exists(name):
            cluster.create(name)
        cluster.apply_definitions(f"kind-{name}")
        return {}

    once_per_run.once("cluster", work)
    return f"kind-{name}"


@pytest.fixture(scope="session")
def built(context: str) -> dict[str, str]:
    def work() -> dict[str, str]:
        made = images.build()
        images.load(made, context.removeprefix("kind-"))
        return made

    return once_per_run.once("images", work)


@pytest.fixture
def namespace(context: str, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    promise = re.sub(
        r"[^a-z0-9]+", "-", request.module.__name__.rsplit(".", 1)[-1].removesuffix("_test")
    ).strip("-")
    place = Namespace(context, f"{promise[:40].strip('-')}-{uuid.uuid4().hex[:5]}")
    place.create()
    yield place
    place.delete()


@pytest.fixture
def beside(namespace: Namespace) -> Iterator[Namespace]:
    """A second namespace in the same cluster."""
    other = Namespace(namespace.context, f"{namespace.name}-b")
    other.create()
    yield other
    other.delete()


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    """Each Helm on this machine."""
    return str(request.param)


@pytest.fixture
def release(namespace: Namespace, built: dict[str, str]) -> Callable[..., Release]:
    """The chart of this checkout, small, with fast ends; not yet installed.

    The definition is the cluster's, not the release's.
    """

    def make(helm: str = HELMS[0], *values: str) -> Release:
        return Release(namespace, [*images.values(built), "--set", ",".join(SMALL), *values], helm)

    return make
