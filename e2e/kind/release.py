"""The chart in a namespace, by Helm 3 or 4."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from e2e.kind import timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import ROOT, major, run

CHART: Final = ROOT / "charts" / "vtuber"
PREVIOUS: Final = ROOT / "e2e" / "kind" / "previous" / "vtuber-0.1.0"
"""The chart before this one, as it was released."""

NAME: Final = "vtuber"


@dataclass(frozen=True)
class Release:
    """`values` are Helm's arguments that every install and upgrade gets."""

    namespace: Namespace
    values: list[str] = field(default_factory=list)
    helm: str = "helm"
    name: str = NAME
    chart: Path = CHART

    def run(self, verb: str, *arguments: str, within: float = timeouts.INSTALLED) -> str:
        """Any Helm command about this release."""
        place = ["--kube-context", self.namespace.context, "-n", self.namespace.name]
        return run(self.helm, verb, self.name, *arguments, *place, within=within + 15)

    def upgrade(
        self, *arguments: str, wait: bool = True, within: float = timeouts.INSTALLED
    ) -> str:
        """Install it, or bring it to these values."""
        waiting = ["--wait", f"--timeout={within:.0f}s"] if wait else []
        return self.run(
            "upgrade",
            str(self.chart),
            "--install",
            *self.values,
            *arguments,
            *waiting,
            within=within,
        )

    def upgrade_or_go_back(self, *arguments: str, within: float) -> str:
        """An upgrade that takes itself back when it does not come up."""
        way_back = "--atomic" if major(self.helm) == 3 else "--rollback-on-failure"
        return self.run(
            "upgrade",
            str(self.chart),
            *self.values,
            *arguments,
            way_back,
            f"--timeout={within:.0f}s",
            within=2 * within,
        )

    def rollback(self, revision: int = 0) -> None:
        """Back to a revision; 0 is the one before."""
        self.run(
            "rollback",
            *([str(revision)] if revision else []),
            "--wait",
            f"--timeout={timeouts.INSTALLED:.0f}s",
        )

    def uninstall(self) -> None:
        """Remove it; the definition of VtuberSession and the volumes stay."""
        self.run(
            "uninstall",
            "--wait",
            f"--timeout={timeouts.UNINSTALLED:.0f}s",
            within=timeouts.UNINSTALLED,
        )
