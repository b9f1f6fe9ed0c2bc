"""A kind cluster: created, found again, started again, removed."""

import json
import os
import time
from typing import Final

from e2e.kind import timeouts
from e2e.kind.programs import ROOT, CommandFailed, run

NODE_PORT: Final = 30080
"""Where the gateway's Service is on the node of `make up`."""


def exists(name: str) -> bool:
    """Whether kind knows a cluster of this name."""
    return name in run("kind", "get", "clusters").split()


def answers(name: str) -> bool:
    """Whether its API server says that it is ready."""
    try:
        run(
            "kubectl",
            "--context",
            f"kind-{name}",
            "--request-timeout=5s",
            "get",
            "--raw",
            "/readyz",
        )
    except CommandFailed:
        return False
    return True


def start_again(name: str) -> None:
    """Start the nodes of a cluster that Docker stopped (a machine that was switched off).

    Raises TimeoutError with the way out.
    """
    run("docker", "start", *run("kind", "get", "nodes", "--name", name).split())
    until = time.monotonic() + timeouts.CLUSTER_STARTED_AGAIN
    while not answers(name):
        if time.monotonic() > until:
            raise TimeoutError(
                f"The cluster {name} does not answer. `make down` removes it with everything in it, `make up` makes it anew."
            )
        time.sleep(1)


def create_anew(name: str, *, workers: int = 0) -> None:
    """Create it, without what a run that was killed has left of one with this name.

    Docker keeps such nodes, stopped.
    """
    if exists(name):
        delete(name)
    create(name, workers=workers)


def create(name: str, *, host_port: int | None = None, workers: int = 0) -> None:
    """Create it, with the gateway's node port on this machine's `host_port` if one is given.

    KIND_NODE_IMAGE names another node image.
    """
    control_plane: dict[str, object] = {"role": "control-plane"}
    if host_port:
        control_plane["extraPortMappings"] = [
            {
                "containerPort": NODE_PORT,
                "hostPort": host_port,
                "listenAddress": "127.0.0.1",
                "protocol": "TCP",
            }
        ]
    nodes = [control_plane, *({"role": "worker"} for _ in range(workers))]
    wanted = json.dumps({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes})
    image = os.environ.get("KIND_NODE_IMAGE")
    command = [
        "kind",
        "create",
        "cluster",
        "--name",
        name,
        "--config",
        "-",
        "--wait",
        "120s",
        *(["--image", image] if image else []),
    ]
    run(*command, given=wanted, within=timeouts.CLUSTER_CREATED)


def delete(name: str) -> None:
    """Remove it with everything in it."""
    run("kind", "delete", "cluster", "--name", name, within=timeouts.CLUSTER_CREATED)


def apply_definitions(context: str) -> None:
    """What the chart would bring, for tests whose releases come and go while the definition has to stay."""
    run(
        "kubectl",
        "--context",
        context,
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        str(ROOT / "crds" / "vtubersessions.vtuber.dev.yaml"),
    )
