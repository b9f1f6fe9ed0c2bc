"""What a cluster adds.

How long `make up` takes, how large images are, how fast a flag is everywhere, what the operator
needs for many.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.bench import figures
from e2e.kind import cluster, images, sessions, timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import MissingProgram, need, run
from e2e.kind.sessions import INTERRUPTIBLE, STREAMING
from e2e.kind.up import CLUSTER, NAMESPACE
from vtuber_cli import ports

APPLIES = 30
MANY = 200
RESOURCES = 1_000


def missing() -> str | None:
    """Why there is nothing to measure on this machine."""
    try:
        need("docker", "kind", "kubectl", "helm")
        run("docker", "version")
    except MissingProgram as error:
        return str(error)
    return None


def measure() -> dict[str, float]:
    """Everything, in the cluster that `make up` makes.

    One that is there already is used and stays.
    """
    images.build()
    with upped() as took:
        namespace = Namespace(f"kind-{CLUSTER}", NAMESPACE)
        found: dict[str, float] = {"make_up_s": round(took, 1)}
        for name, size in images.sizes().items():
            found[f"image_{name.partition('/')[2].replace('-', '_')}_mb"] = round(size / 1e6, 1)
        found |= figures.named("flag_everywhere", applies(namespace))
        found |= crowd(namespace)
    return found


@contextmanager
def upped() -> Iterator[float]:
    """`make up` and, for a cluster of our own, `make down`."""
    there = cluster.exists(CLUSTER)
    began = time.monotonic()
    run(
        "make",
        "up",
        f"PORT={ports.free()}",
        within=timeouts.CLUSTER_CREATED + timeouts.INSTALLED + timeouts.IMAGES_LOADED,
    )
    try:
        yield time.monotonic() - began
    finally:
        if not there:
            run("make", "down", within=timeouts.CLUSTER_CREATED)


def applies(namespace: Namespace) -> list[float]:
    """From the call of `kubectl apply` of one flag to the status that says every live pod acknowledged it, in ms."""
    sessions.apply(namespace, sessions.resource("bench", "bench", STREAMING))
    sessions.ready(namespace, "bench")
    times = []
    with watching(namespace, "bench") as lines:
        for number in range(APPLIES):
            flags = STREAMING if number % 2 else INTERRUPTIBLE
            wanted = f"{number + 2} {number + 2} True"
            began = time.perf_counter()
            sessions.apply(namespace, sessions.resource("bench", "bench", flags))
            while next(lines).strip() != wanted:
                continue
            times.append((time.perf_counter() - began) * 1000)
    return times


@contextmanager
def watching(namespace: Namespace, name: str) -> Iterator[Iterator[str]]:
    """Every state of a resource.

    Its generation, the one that its status is about, and whether it is Ready.
    """
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    shown = (
        'jsonpath={.metadata.generation}{" "}{.status.observedGeneration}{" "}' + ready + '{"\\n"}'
    )
    place = ["kubectl", "--context", namespace.context, "-n", namespace.name]
    process = subprocess.Popen(
        [*place, "get", "vts", name, "--watch", "-o", shown], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield iter(process.stdout.readline, "")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def crowd(namespace: Namespace) -> dict[str, float]:
    """Two hundred at once until all are ready, and the operator's memory with a thousand."""
    began = time.monotonic()
    sessions.apply(
        namespace,
        *(sessions.resource(f"show-{n:04}", f"show-{n:04}", STREAMING) for n in range(MANY)),
    )
    namespace.until("all ready", lambda: not unready(namespace), 2 * timeouts.MANY_READY)
    converged = time.monotonic() - began
    for first in range(MANY, RESOURCES, MANY):
        batch = range(first, first + MANY)
        sessions.apply(
            namespace,
            *(sessions.resource(f"show-{n:04}", f"show-{n:04}", STREAMING) for n in batch),
        )
    namespace.until("all ready", lambda: not unready(namespace), 10 * timeouts.MANY_READY)
    pod = namespace.pods("operator")[0]["metadata"]["name"]
    said = namespace.kubectl(
        "get", "--raw", f"/api/v1/namespaces/{namespace.name}/pods/{pod}:8080/proxy/metrics"
    )
    resident = re.search(r"^process_resident_memory_bytes (\S+)", said, re.MULTILINE)
    assert resident is not None
    return {
        "converged_200_s": round(converged, 1),
        "operator_1000_mb": round(float(resident.group(1)) / 1e6, 1),
    }


def unready(namespace: Namespace) -> int:
    """Resources that are not ready."""
    return sum(
        not any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in item.get("status", {}).get("conditions", [])
        )
        for item in namespace.sessions()
    )
