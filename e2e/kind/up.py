"""`make up`: a cluster, the images, the chart, one VtuberSession, and the page's address.

Says what it does and how long that took.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from e2e.kind import cluster, forward, images, timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import ROOT, CommandFailed, MissingProgram, need, run
from e2e.kind.release import Release

CLUSTER: Final = "vtuber"
NAMESPACE: Final = "vtuber"
EVERYONE: Final = ROOT / "crds" / "examples" / "everyone.yaml"
FORWARD_PID: Final = ROOT / ".data" / "port-forward.pid"
BEGAN: Final = time.monotonic()


def tell(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN:4.0f} s] {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """A line at the beginning and one at the end."""
    began = time.monotonic()
    tell(f"{text} …")
    yield
    tell(f"{text}: done in {time.monotonic() - began:.0f} s")


def cluster_and_images(port: int) -> dict[str, str]:
    """Both at once: the cluster mostly waits, the images mostly work."""

    def make_cluster() -> None:
        if cluster.exists(CLUSTER):
            tell(f"cluster {CLUSTER}: there already")
            if not cluster.answers(CLUSTER):
                with step(f"cluster {CLUSTER} does not answer: its nodes are started again"):
                    cluster.start_again(CLUSTER)
            return
        with step(f"cluster {CLUSTER}"):
            cluster.create(CLUSTER, host_port=port)

    with ThreadPoolExecutor() as pool:
        made = pool.submit(make_cluster)
        built = images.build(tell)
        made.result()
    return built


def reach(namespace: Namespace, port: int) -> None:
    """The page on this machine, where the cluster has no port of its own here.

    Kubectl goes on in the background until `make down`.
    """
    stop_forward()
    FORWARD_PID.parent.mkdir(exist_ok=True)
    process = subprocess.Popen(
        forward.command(namespace, "service/vtuber-gateway", port, 80),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    FORWARD_PID.write_text(str(process.pid))


def stop_forward() -> None:
    """End what `reach` began, if it still runs."""
    if FORWARD_PID.exists():
        subprocess.run(["kill", FORWARD_PID.read_text().strip()], capture_output=True)
        FORWARD_PID.unlink()


def up(context: str | None, port: int) -> None:
    """`context` names a cluster of the user's own."""
    need("docker", "kubectl", "helm", *([] if context else ["kind"]))
    if context is None:
        built, context, own = cluster_and_images(port), f"kind-{CLUSTER}", True
    else:
        built, own = images.build(tell), False
    if context.startswith("kind-"):
        with step("images into the cluster"):
            images.load(built, context.removeprefix("kind-"))
    else:
        tell(f"images are not pushed anywhere: {context} has to see this machine's Docker")
    namespace = Namespace(context, NAMESPACE)
    namespace.create()
    if own:
        # So that what a person types next lands where the operator looks, also without -n.
        run("kubectl", "config", "set-context", context, "--namespace", NAMESPACE)
    service = (
        [f"gateway.service.type=NodePort,gateway.service.nodePort={cluster.NODE_PORT}"]
        if own
        else ["gateway.service.type=ClusterIP"]
    )
    release = Release(namespace, [*images.values(built), "--set", ",".join(service)])
    with step("chart"):
        release.upgrade()
    with step("streamed speech and interruption on, for every session"):
        namespace.kubectl("apply", "-f", str(EVERYONE))
        ready = f"--timeout={timeouts.SESSION_READY:.0f}s"
        namespace.kubectl(
            "wait",
            "--for=condition=Ready",
            "-f",
            str(EVERYONE),
            ready,
            within=timeouts.SESSION_READY + 5,
        )
    if not own:
        reach(namespace, port)
    with step("until she answers"):
        namespace.until("an answer", lambda: forward.she_answers(port), timeouts.SHE_ANSWERS)
    tell(
        f"she is on http://localhost:{port}   (kubectl --context {context} -n {NAMESPACE} get vts,pods; make down)"
    )


def down(context: str | None) -> None:
    """The cluster of `make up`, or in a cluster of the user's own the release and its namespace."""
    stop_forward()
    if context is None:
        need("docker", "kind")
        cluster.delete(CLUSTER)
        return
    need("kubectl", "helm")
    namespace = Namespace(context, NAMESPACE)
    Release(namespace).uninstall()
    namespace.delete()


def main() -> None:
    """`up` or `down`; CONTEXT and PORT come from the environment, as make hands them over."""
    context, said = os.environ.get("CONTEXT") or None, os.environ.get("PORT", "").strip() or "8080"
    if not (said.isascii() and said.isdigit() and 1 <= int(said[:6]) <= 65_535):
        sys.exit(f"PORT={said}: a port is a number from 1 to 65535")
    port = int(said)
    verbs: dict[str, Callable[[], None]] = {
        "up": lambda: up(context, port),
        "down": lambda: down(context),
    }
    try:
        verbs[sys.argv[1]]()
    except (CommandFailed, MissingProgram, TimeoutError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
