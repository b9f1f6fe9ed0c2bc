"""One namespace of a cluster, where Pod Security lets nothing run that is not `restricted`."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2e.kind import timeouts
from e2e.kind.programs import run

if TYPE_CHECKING:
    from e2e.kind.objects import Reader


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

    def pods(self, component: str | None = None, *, ending: bool = False) -> list[dict[str, Any]]:
        """The pods of one component or of all; with those on their way out, if `ending`."""
        selector = "" if component is None else f"app.kubernetes.io/name={component}"
        found = self._objects.pods(selector)
        return [pod for pod in found if ending or "deletionTimestamp" not in pod["metadata"]]

    def pod(self, name: str) -> dict[str, Any]:
        """One pod. Raises LookupError."""
        return self._objects.pod(name)

    def deployment(self, name: str) -> dict[str, Any]:
        """One Deployment. Raises LookupError."""
        return self._objects.deployment(name)

    def sessions(self) -> list[dict[str, Any]]:
        """The VtuberSessions."""
        return self._objects.sessions()

    def session(self, name: str) -> dict[str, Any]:
        """One VtuberSession. Raises LookupError."""
        return self._objects.session(name)

    def crd(self, name: str) -> dict[str, Any]:
        """One CustomResourceDefinition of the cluster. Raises LookupError."""
        return self._objects.crd(name)

    def address(self, service: str) -> str:
        """Where a NodePort Service is, without a scheme.

        It outlives the pods behind it, which a forwarded port does not (Linux only).
        """
        found = self._objects.service(service)
        port = found["spec"]["ports"][0]["nodePort"]
        addresses = self._objects.nodes()[0]["status"]["addresses"]
        return f"{next(at['address'] for at in addresses if at['type'] == 'InternalIP')}:{port}"

    def restarts(self) -> int:
        """How often containers were started anew, over all pods."""
        return sum(
            state["restartCount"]
            for pod in self._objects.pods()
            for state in pod["status"].get("containerStatuses", [])
        )

    @property
    def _objects(self) -> "Reader":
        # Imported here: `make up` reads no object, and runs without the project's environment.
        from e2e.kind.objects import Reader

        return Reader(self.context, self.name)

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
