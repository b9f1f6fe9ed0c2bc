"""One namespace of a cluster, where Pod Security lets nothing run that is not `restricted`."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2e.kind import timeouts
from e2e.kind.programs import run


@dataclass(frozen=True)
class Namespace:
    """Where a test, or `make up`, puts its things."""

    context: str
    name: str

    def kubectl(
        self, *arguments: str, within: float = timeouts.COMMAND, given: str | None = None
    ) -> str:
        """Run kubectl here."""
        return run(
            "kubectl",
            "--context",
            self.context,
            "-n",
            self.name,
            *arguments,
            within=within,
            given=given,
        )

    def create(self) -> None:
        """Create it, or find it, with the label that makes the API server refuse what is not restricted."""
        wanted = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
        self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(wanted))

    def delete(self) -> None:
        """Begin to remove it and everything in it."""
        self.kubectl("delete", "namespace", self.name, "--ignore-not-found", "--wait=false")

    def get(self, *what: str) -> dict[str, Any]:
        """A resource, or a list, as the API has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of a component that are not on their way out."""
        found = self.get("pods", "-l", f"app.kubernetes.io/name={component}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def address(self, service: str) -> str:
        """Where a NodePort Service is, without a scheme. It outlives the pods behind it, which a forwarded port does not (Linux only)."""
        port = self.get("service", service)["spec"]["ports"][0]["nodePort"]
        addresses = self.get("nodes")["items"][0]["status"]["addresses"]
        return f"{next(at['address'] for at in addresses if at['type'] == 'InternalIP')}:{port}"

    def restarts(self) -> int:
        """How often containers were started anew, over all pods."""
        return sum(
            state["restartCount"]
            for pod in self.get("pods")["items"]
            for state in pod["status"].get("containerStatuses", [])
        )

    def rolled_out(self, *workloads: str, within: float = timeouts.POD_READY_AGAIN) -> None:
        """Wait until every pod of these is of the newest template and ready."""
        for workload in workloads:
            self.kubectl(
                "rollout", "status", workload, f"--timeout={within:.0f}s", within=within + 5
            )

    def until(self, what: str, happened: Callable[[], object], within: float) -> float:
        """Wait for a condition; how long it took."""
        began = time.monotonic()
        while not happened():
            if time.monotonic() - began > within:
                raise TimeoutError(f"{what}: not within {within:.0f} s")
            time.sleep(0.2)
        return time.monotonic() - began
