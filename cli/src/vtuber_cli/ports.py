"""Finds free TCP ports, and the processes that use the others."""

import atexit
import errno
import socket
import sys
from pathlib import Path

from vtuber_cli import addresses


def free(host: str = "127.0.0.1") -> int:
    """Return a port that no program uses, and on Linux reserve it while this process lives.

    A server needs a second or two to start. Meanwhile another run, or any outgoing connection,
    could get the same port from the system. The bound socket prevents this. The server must set
    SO_REUSEADDR, as asyncio, Valkey and Go do.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((host, 0))
    port = int(probe.getsockname()[1])
    if sys.platform == "linux":
        atexit.register(probe.close)
    else:
        # Other systems reject a second bind even if neither socket listens.
        probe.close()
    return port


def busy(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a program listens on the port, or none may."""
    return _bound(port, host) is not None


class Claims:
    """Ports on which this run is about to listen.

    A run that starts in the same second then chooses others. Linux only.
    """

    def __init__(self) -> None:
        self._marks: list[socket.socket] = []

    def claim(self, port: int) -> bool:
        """Claim the port; False if a program listens there or another run has claimed it."""
        if busy(port):
            return False
        if sys.platform == "linux":
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                # An abstract socket name: the system removes it with the process.
                mark.bind(f"\0vtuber-port-{port}")
            except OSError:
                mark.close()
                return False
            self._marks.append(mark)
        return True

    def close(self) -> None:
        """Release all claims."""
        for mark in self._marks:
            mark.close()
        self._marks.clear()


def refusal(port: int, host: str) -> str | None:
    """Return why the page cannot listen there and what to do, or None if it can."""
    error = _bound(port, host)
    if error is None:
        return None
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port}, which the page needs, is in use{holder(port)}. "
            "End that program, or choose another port: PORT=8080 make run"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs root privileges. Choose a port above 1023: PORT=8080 make run"
    return (
        f"{host} is not an address that this machine can listen on ({error.strerror or error}). "
        f"Possible addresses: {addresses.choices()}."
    )


def _bound(port: int, host: str) -> OSError | None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # Without this, a port that was used until a moment ago counts as busy, and a restart
            # would have to wait a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


def holder(port: int) -> str:
    """Return text like `" (process 123: python)"`, or an empty text if the process is not known."""
    try:
        rows = [
            row
            for table in ("tcp", "tcp6")
            for row in Path("/proc/net", table).read_text().splitlines()[1:]
        ]
    except OSError:
        return ""
    inodes = {
        row.split()[9]
        for row in rows
        if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A"
    }
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {_target(link) for link in (process / "fd").iterdir()}
            if any(f"socket:[{inode}]" in links for inode in inodes):
                return f" (process {process.name}: {(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # It belongs to another user, or has ended.
    return ""


def _target(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""  # The file was closed after it was listed.
