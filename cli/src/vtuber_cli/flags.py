"""`vtuber flags`: changes a flag of a VtuberSession, with the flags that depend on it.

The API server rejects a flag without the flags that it requires. One patch therefore turns a flag
off together with its dependents, or on together with its requirements.
"""

import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dialog_flags.flags import Flag, dependents_of, requirements_of
from vtuber_cli.console import Console

TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class KubeTarget:
    """Cluster and namespace; None for the defaults of kubectl."""

    namespace: str | None = None
    context: str | None = None

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a kubectl command line."""
        chosen = [
            *(["--context", self.context] if self.context else []),
            *(["-n", self.namespace] if self.namespace else []),
        ]
        return ["kubectl", *chosen, *arguments]


class FlipError(Exception):
    """The change failed; the message says what to do."""


def change(flag: Flag, *, on: bool) -> dict[str, bool]:
    """Return the value of each flag to set, so that the API server accepts it in any state."""
    return dict.fromkeys(
        [
            str(each)
            for each in (
                [*requirements_of(flag), flag] if on else [*dependents_of(flag)[::-1], flag]
            )
        ],
        on,
    )


def patch(name: str, flag: Flag, *, on: bool) -> list[str]:
    """Return the arguments of kubectl."""
    wanted = json.dumps({"spec": {"flags": change(flag, on=on)}}, separators=(",", ":"))
    return ["patch", "vts", name, "--type=merge", "-p", wanted]


def flip(name: str, flag: Flag, *, on: bool, place: KubeTarget, dry: bool, console: Console) -> int:
    """Print the command and, unless `dry`, execute it; return the exit status."""
    command = place.kubectl(*patch(name, flag, on=on))
    console.say(shlex.join(command))
    if dry:
        return 0
    try:
        _run(command, name)
    except FlipError as error:
        console.say(f"{console.paint('Nothing was changed:', 'red')} {error}")
        return 1
    said = ", ".join(f"{each} {'on' if on else 'off'}" for each in change(flag, on=on))
    console.say(
        f"{said}. Each pod uses it from its next turn on; "
        f"`{shlex.join(place.kubectl('get', 'vts', name))}` shows the progress."
    )
    return 0


def show(name: str, *, place: KubeTarget, console: Console) -> int:
    """Print the wanted and the effective state of each flag; return the exit status."""
    try:
        found: dict[str, Any] = json.loads(
            _run(place.kubectl("get", "vts", name, "-o", "json"), name)
        )
    except FlipError as error:
        console.say(str(error))
        return 1
    wanted = found.get("spec", {}).get("flags", {})
    for flag in found.get("status", {}).get("flags", []):
        state = "on" if flag.get("effective") else "off"
        asked = wanted.get(flag["name"])
        wish = (
            ""
            if asked is None or asked == flag.get("effective")
            else f", wanted {'on' if asked else 'off'}"
        )
        pods = f"{flag.get('acknowledgedPods', 0)} of {flag.get('livePods', 0)} pods use it"
        shown = console.paint(f"{state:<4}", "green" if state == "on" else "grey")
        console.say(f"  {flag['name']:<22} {shown}{flag.get('phase', '')}{wish}; {pods}")
    if not found.get("status", {}).get("flags"):
        console.say(f"No operator has processed {name} yet: is one running in that namespace?")
    return 0


def _run(command: Sequence[str], name: str) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise FlipError(
            "kubectl is not on PATH; execute the command on a machine that has it."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise FlipError(f"the cluster did not answer within {TIMEOUT_S} s.") from error
    if done.returncode == 0:
        return done.stdout
    said = (
        done.stderr.strip().splitlines()[-1]
        if done.stderr.strip()
        else f"kubectl ended with status {done.returncode}"
    )
    if "NotFound" in said and "vtubersessions" in said:
        said = (
            f"there is no VtuberSession {name} in that namespace (select another one with -n "
            "NAMESPACE). A session without its own uses "
            "the one whose sessionId is *: `kubectl get vts -A` lists them."
        )
    raise FlipError(said)
