"""The engine's process, as its node sees it.

Inside the pod it is process 1, which SIGKILL and SIGSTOP do not reach.
"""

from dataclasses import dataclass

from e2e.kind.namespace import Namespace
from e2e.kind.programs import run


@dataclass(frozen=True)
class EngineProcess:
    """Of engine 0. To find it takes a second; to send it a signal, a tenth."""

    node: str
    pid: str

    def send(self, signal: str) -> None:
        """A signal, by its name without SIG."""
        run("docker", "exec", self.node, "kill", f"-{signal}", self.pid)


def find(namespace: Namespace) -> EngineProcess:
    """The one that runs now."""
    pod = namespace.pod("vtuber-dialog-engine-0")
    # Of all processes on the node, the one that has this pod's volumes and runs our code.
    ours = f"grep -q {pod['metadata']['uid']} $p/mountinfo && grep -q main.py $p/cmdline"
    script = f"for p in /proc/[0-9]*; do {ours} && echo ${{p#/proc/}}; done"
    node = pod["spec"]["nodeName"]
    found = run("docker", "exec", node, "sh", "-c", f"({script}) 2>/dev/null; true").split()
    # The oldest: its voice's child came later.
    return EngineProcess(node, min(found, key=int))
