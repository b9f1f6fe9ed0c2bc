"""A cluster of two workers, with two engines and two output-handlers in it, for all tests here."""

from collections.abc import Iterator

import pytest

from e2e.kind import cluster, images, programs
from e2e.kind.conftest import HELMS, SMALL
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.talk import STREAMED, Room, room

CLUSTER = "vtuber-nodes"
TWO_OF_EACH = "dialogEngine.replicas=2,outputHandler.replicas=2,inputHandler.replicas=2,gateway.replicas=2,legacy.enabled=true"


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
def place(namespace: Namespace) -> Room:
    built = images.build()
    images.load(built, CLUSTER, f"{CLUSTER}-worker", f"{CLUSTER}-worker2")
    values = [*images.values(built), "--set", ",".join([*SMALL, STREAMED, TWO_OF_EACH])]
    Release(namespace, values, HELMS[0]).upgrade()
    return room(namespace)
