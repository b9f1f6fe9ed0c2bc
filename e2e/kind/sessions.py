"""VtuberSessions as a person applies and reads them."""

import json
import time
from typing import Any, Final

from e2e.kind import timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.programs import CommandFailed

STREAMING: Final = {"SYNC_TTS_STREAMING": True}
INTERRUPTIBLE: Final = {"SYNC_TTS_STREAMING": True, "SYNC_TTS_BARGE_IN": True}


def resource(
    name: str, session_id: str, flags: dict[str, bool] | None = None, **spec: Any
) -> dict[str, Any]:
    """A VtuberSession as JSON."""
    return {
        "apiVersion": "vtuber.dev/v1alpha1",
        "kind": "VtuberSession",
        "metadata": {"name": name},
        "spec": {"sessionId": session_id, **({} if flags is None else {"flags": flags}), **spec},
    }


def apply(namespace: Namespace, *resources: dict[str, Any]) -> None:
    """`kubectl apply -f -`."""
    wanted = {"apiVersion": "v1", "kind": "List", "items": list(resources)}
    namespace.kubectl("apply", "-f", "-", given=json.dumps(wanted), within=timeouts.MANY_APPLIED)


def refusal(namespace: Namespace, wanted: dict[str, Any]) -> str:
    """What kubectl says when the API server does not take it."""
    try:
        namespace.kubectl("apply", "-f", "-", given=json.dumps(wanted))
    except CommandFailed as error:
        return error.said
    raise AssertionError("it was taken")


def ready(namespace: Namespace, name: str, within: float = timeouts.SESSION_READY) -> float:
    """`kubectl wait --for=condition=Ready`; how long it took, in seconds."""
    began = time.monotonic()
    namespace.kubectl(
        "wait",
        f"vts/{name}",
        "--for=condition=Ready",
        f"--timeout={within:.0f}s",
        within=within + 5,
    )
    return time.monotonic() - began


def all_ready(namespace: Namespace, within: float = timeouts.SESSION_READY) -> None:
    """Wait for all of the namespace."""
    namespace.kubectl(
        "wait",
        "vts",
        "--all",
        "--for=condition=Ready",
        f"--timeout={within:.0f}s",
        within=within + 5,
    )


def status(namespace: Namespace, name: str) -> dict[str, Any]:
    """The status, or nothing yet."""
    found: dict[str, Any] = namespace.session(name).get("status", {})
    return found


def condition(namespace: Namespace, name: str, kind: str) -> dict[str, Any]:
    """One condition of the status."""
    found = status(namespace, name).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})
