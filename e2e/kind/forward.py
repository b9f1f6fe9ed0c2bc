"""A port of the cluster on this machine."""

import json
from http.client import HTTPException
from urllib.request import Request, urlopen

from e2e.kind.namespace import Namespace


def command(namespace: Namespace, target: str, local: int, remote: int) -> list[str]:
    """`target` is e.g. `service/vtuber-gateway`."""
    place = ["kubectl", "--context", namespace.context, "-n", namespace.name]
    return [*place, "port-forward", "--address", "127.0.0.1", target, f"{local}:{remote}"]


def she_answers(port: int) -> bool:
    """Whether a message from there gets to an engine and back. A STOP where nothing sounds.

    It leaves nothing behind.
    """
    body = json.dumps({"sessionId": "make-up", "type": "COMMAND", "content": "STOP"}).encode()
    asked = Request(
        f"http://127.0.0.1:{port}/chat/stream", body, {"Content-Type": "application/json"}
    )
    try:
        with urlopen(asked, timeout=5) as answer:
            return b"event: done" in answer.read()
    except (OSError, HTTPException):
        return False
