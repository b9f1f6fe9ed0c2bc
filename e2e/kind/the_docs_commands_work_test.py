"""What README and docs tell people to type on a cluster works as it stands, typed into a shell in the order in which they would."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.harness.documented import Command, typed
from e2e.kind import timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import major, run
from e2e.kind.release import Release

ORDER = ("kubernetes.md", "README.md", "vtubersession.md", "fallback.md")
NEWER_HELM = "--rollback-on-failure"
OLDER_HELM = "--atomic"


def in_order() -> list[Command]:
    """Installed first, removed last."""
    found = [command for command in typed() if command.kind == "cluster"]
    assert {command.page for command in found} == set(ORDER)
    pages = [[command for command in found if command.page == page] for page in ORDER]
    first = next(
        at for at, command in enumerate(pages[0]) if command.call[:2] == ["helm", "upgrade"]
    )
    return [
        *pages[0][:first],
        *(command for page in pages[1:] for command in page),
        *pages[0][first:],
    ]


def here(command: Command, namespace: Namespace, release: Release) -> str | None:
    """The command for this namespace and these images; None: it is for the other Helm."""
    text = command.text
    if command.call[0] == "helm":
        other = NEWER_HELM if major(release.helm) == 3 else OLDER_HELM
        if other in text:
            return None
        text = re.sub(r"^helm\b", release.helm, text)
        text = text.replace(
            "--set image.registry=registry.example.org/team", shlex.join(release.values)
        )
        if command.call[1] == "upgrade":
            text += " --reuse-values"
    if command.call[:3] == ["kubectl", "delete", "crd"]:
        # The definition is the whole cluster's, and other tests' too.
        text += " --dry-run=server"
    if command.call[1:3] == ["create", "namespace"]:
        # It is there already.
        text += " --dry-run=client"
    return re.sub(r"(-n|namespace) vtuber\b", rf"\1 {namespace.name}", text)


@pytest.mark.timeout(timeouts.LONG_TEST)
def test_each_is_typed_and_does_what_it_says(
    namespace: Namespace, release: Callable[..., Release], tmp_path: Path
) -> None:
    chart = release()
    config = tmp_path / "kubeconfig"
    config.write_text(
        run(
            "kubectl",
            "config",
            "view",
            "--raw",
            "--minify",
            "--flatten",
            "--context",
            namespace.context,
        )
    )
    config.chmod(0o600)
    for command in in_order():
        text = here(command, namespace, chart)
        if text is None:
            continue
        said = run(
            "bash",
            "-c",
            text,
            env={"KUBECONFIG": str(config)},
            within=timeouts.INSTALLED + timeouts.SESSION_READY,
        )
        if command.call[:2] == ["kubectl", "get"]:
            assert "True" in said, (command, said)
        if "patch" in command.call:
            wanted = namespace.session("live-001")["spec"]["flags"]
            assert set(wanted.values()) == {False}, "the way back is one move"
            ready = f"--timeout={timeouts.SESSION_READY:.0f}s"
            namespace.kubectl(
                "wait",
                "vts/live-001",
                "--for=condition=Ready",
                ready,
                within=timeouts.SESSION_READY + 5,
            )
    assert namespace.sessions() == []
