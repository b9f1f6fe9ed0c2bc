"""Two releases in one cluster.

Neither takes the definition of VtuberSession from the other, and it outlives both.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from e2e.kind import cluster
from e2e.kind.namespace import Namespace
from e2e.kind.programs import run
from e2e.kind.release import Release

NAME = "vtubersessions.vtuber.dev"
WITH_DEFINITION = ("--set", "crds.enabled=true")
pytestmark = pytest.mark.alone
"""The definition takes every VtuberSession of the cluster with it."""


@pytest.fixture
def no_definition(context: str) -> Iterator[None]:
    run("kubectl", "--context", context, "delete", "crd", NAME, "--ignore-not-found")
    yield
    run("kubectl", "--context", context, "delete", "crd", NAME, "--ignore-not-found")
    cluster.apply_definitions(context)


def owner(namespace: Namespace) -> str:
    notes = namespace.crd(NAME)["metadata"]["annotations"]
    return f"{notes['meta.helm.sh/release-namespace']}/{notes['meta.helm.sh/release-name']}"


@pytest.mark.usefixtures("no_definition")
def test_the_first_owns_it_and_the_second_says_so(
    namespace: Namespace, beside: Namespace, release: Callable[..., Release], helm: str
) -> None:
    first = release(helm, *WITH_DEFINITION)
    second = Release(beside, first.values, helm)
    first.upgrade(wait=False)
    assert owner(namespace) == f"{namespace.name}/vtuber"
    before = json.dumps(namespace.crd(NAME)["spec"])

    said = second.upgrade(wait=False)
    assert f"belongs to the release {namespace.name}/vtuber" in said
    second.upgrade(wait=False)
    assert owner(namespace) == f"{namespace.name}/vtuber"

    second.uninstall()
    first.uninstall()
    assert json.dumps(namespace.crd(NAME)["spec"]) == before, (
        "kept, with every VtuberSession in the cluster"
    )


def test_a_definition_that_kubectl_brought_is_left_alone(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    said = release("helm", *WITH_DEFINITION).upgrade(wait=False)
    assert "belongs to no Helm release" in said
