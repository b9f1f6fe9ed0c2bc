"""A cluster of two workers, with two output-handlers and as many engines as a test wants, for all tests here."""

from collections.abc import Iterator

import pytest

from e2e.kind import cluster, images, programs
from e2e.kind.client import STREAMED, Room, room
from e2e.kind.conftest import HELMS, SMALL
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

CLUSTER = "vtuber-nodes"
# All who talk here have one address, and a quick machine lets them ask more often than one person
# may.
CROWD = (
    "--set-string",
    "gateway.extraEnv[0].name=RATE_LIMIT_PER_SECOND,gateway.extraEnv[0].value=1000",
)
TWO_OF_EACH = (
    "outputHandler.replicas=2,inputHandler.replicas=2,gateway.replicas=2,legacy.enabled=true"
)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    programs.need("docker", "kind", "kubectl", "helm")
    cluster.create_anew(CLUSTER, workers=2)
    cluster.apply_definitions(f"kind-{CLUSTER}")
    place = Namespace(f"kind-{CLUSTER}", "several")
    place.create()
    yield place
    cluster.delete(CLUSTER)


@pytest.fixture(scope="module")
def release(namespace: Namespace) -> Release:
    """Not yet installed; how many engines it has is said with each upgrade."""
    built = images.build()
    images.load(built, CLUSTER, f"{CLUSTER}-worker", f"{CLUSTER}-worker2")
    return Release(
        namespace,
        [*images.values(built), *CROWD, "--set", ",".join([*SMALL, STREAMED, TWO_OF_EACH])],
        HELMS[0],
    )


@pytest.fixture
def one_engine(release: Release) -> Room:
    release.upgrade(*engines(1))
    return room(release.namespace)


@pytest.fixture
def place(release: Release) -> Room:
    release.upgrade(*engines(2))
    return room(release.namespace)


def engines(number: int) -> tuple[str, str]:
    """For an upgrade."""
    return ("--set", f"dialogEngine.replicas={number}")
