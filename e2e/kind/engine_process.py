"""The engine's process, as its node sees it: inside the pod it is process 1, which SIGKILL and SIGSTOP do not reach."""

from e2e.kind.namespace import Namespace
from e2e.kind.programs import run


def send(namespace: Namespace, signal: str) -> None:
    """A signal, by its name without SIG."""
    pod = namespace.get("pod", "vtuber-dialog-engine-0")
    # Of all processes on the node, the one that has this pod's volumes and runs our code.
    ours = f"grep -q {pod['metadata']['uid']} $p/mountinfo && grep -q main.py $p/cmdline"
    find = f"for p in /proc/[0-9]*; do {ours} && echo ${{p#/proc/}}; done"
    node = pod["spec"]["nodeName"]
    found = run("docker", "exec", node, "sh", "-c", f"({find}) 2>/dev/null; true").split()
    # The oldest: its voice's child came later.
    run("docker", "exec", node, "kill", f"-{signal}", min(found, key=int))
