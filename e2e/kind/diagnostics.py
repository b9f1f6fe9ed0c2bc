"""What a failed cluster test leaves for whoever looks.

Logs, events, descriptions, in a folder that the failure names.
"""

import shutil
from pathlib import Path
from typing import Final

from e2e.kind import timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import ROOT, CommandFailed, MissingProgram

FOLDER: Final = ROOT / ".data" / "e2e-kind"
COMMANDS: Final = {
    "pods.txt": ["get", "pods", "-o", "wide"],
    "everything.yaml": [
        "get",
        "deployments,statefulsets,pods,services,configmaps,vtubersessions",
        "-o",
        "yaml",
    ],
    "events.txt": ["get", "events", "--sort-by=.lastTimestamp"],
    "describe.txt": ["describe", "pods,vtubersessions"],
}
"""No Secrets: what is kept here is read by many."""


def collect(namespace: Namespace, test: str) -> Path:
    """Write what can be had; what cannot is said in its file."""
    folder = FOLDER / "".join(
        letter if letter.isalnum() or letter in "-_" else "-" for letter in test
    )
    # What an earlier run left would be taken for this one's.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def keep(name: str, *arguments: str) -> str:
        try:
            said = namespace.kubectl(*arguments, within=timeouts.EVIDENCE)
        except (CommandFailed, MissingProgram) as error:
            said = str(error)
        (folder / name).write_text(said)
        return said

    for name, arguments in COMMANDS.items():
        keep(name, *arguments)
    for pod in keep("names.txt", "get", "pods", "-o", "name").split():
        short = pod.removeprefix("pod/")
        keep(f"{short}.log", "logs", pod, "--all-containers", "--tail=2000")
        keep(f"{short}.previous.log", "logs", pod, "--all-containers", "--previous", "--tail=2000")
    return folder
