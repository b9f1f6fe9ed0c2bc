"""A port of the cluster on this machine."""

import socket

from e2e.kind.namespace import Namespace


def command(namespace: Namespace, target: str, local: int, remote: int) -> list[str]:
    """`target` is e.g. `service/vtuber-gateway`."""
    place = ["kubectl", "--context", namespace.context, "-n", namespace.name]
    return [*place, "port-forward", "--address", "127.0.0.1", target, f"{local}:{remote}"]


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
