"""What a cluster adds: how long `make up` takes, how large images are, how fast a flag is everywhere, what the operator needs for many."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client, config, watch

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
    """Everything, in the cluster that `make up` makes; one that is there already is used and stays."""
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
    run("make", "up", f"PORT={ports.free()}", within=timeouts.CLUSTER_CREATED + timeouts.INSTALLED + timeouts.IMAGES_LOADED)
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
    for number in range(APPLIES):
        flags = STREAMING if number % 2 else INTERRUPTIBLE
        generation = namespace.get("vts", "bench")["metadata"]["generation"] + 1
        began = time.perf_counter()
        sessions.apply(namespace, sessions.resource("bench", "bench", flags))
        until_ready(namespace, "bench", generation)
        times.append((time.perf_counter() - began) * 1000)
    return times


def until_ready(namespace: Namespace, name: str, generation: int) -> None:
    """Watch one resource until it is ready for this generation."""
    api = client.CustomObjectsApi(config.new_client_from_config(context=namespace.context))
    stream = watch.Watch().stream(
        api.list_namespaced_custom_object,
        "vtuber.dev",
        "v1alpha1",
        namespace.name,
        "vtubersessions",
        field_selector=f"metadata.name={name}",
        timeout_seconds=int(timeouts.SESSION_READY),
    )
    for event in stream:
        status: dict[str, Any] = event["object"].get("status", {})
        conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
        if status.get("observedGeneration") == generation and conditions.get("Ready") == "True":
            return
    raise TimeoutError(f"{name} is not ready")


def crowd(namespace: Namespace) -> dict[str, float]:
    """Two hundred at once until all are ready, and the operator's memory with a thousand."""
    began = time.monotonic()
    sessions.apply(namespace, *(sessions.resource(f"show-{n:04}", f"show-{n:04}", STREAMING) for n in range(MANY)))
    namespace.until("all ready", lambda: not unready(namespace), 2 * timeouts.MANY_READY)
    converged = time.monotonic() - began
    for first in range(MANY, RESOURCES, MANY):
        batch = range(first, first + MANY)
        sessions.apply(namespace, *(sessions.resource(f"show-{n:04}", f"show-{n:04}", STREAMING) for n in batch))
    namespace.until("all ready", lambda: not unready(namespace), 10 * timeouts.MANY_READY)
    pod = namespace.pods("operator")[0]["metadata"]["name"]
    said = namespace.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace.name}/pods/{pod}:8080/proxy/metrics")
    resident = re.search(r"^process_resident_memory_bytes (\S+)", said, re.MULTILINE)
    assert resident is not None
    return {"converged_200_s": round(converged, 1), "operator_1000_mb": round(float(resident.group(1)) / 1e6, 1)}


def unready(namespace: Namespace) -> int:
    """Resources that are not ready."""
    return sum(
        not any(one["type"] == "Ready" and one["status"] == "True" for one in item.get("status", {}).get("conditions", []))
        for item in namespace.get("vts")["items"]
    )
