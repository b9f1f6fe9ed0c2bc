"""Which TCP ports are free, and who holds those that are not."""

import atexit
import errno
import socket
import sys
from pathlib import Path

from vtuber_cli import addresses


def free(host: str = "127.0.0.1") -> int:
    """A port that nobody uses now and that, on Linux, no other program is given by chance while this process lives.

    Between the choice and the moment a server listens lies its start, a second or two: the next choice, another run's,
    and every outgoing connection draw from the same range. Whoever is to listen there sets SO_REUSEADDR, as asyncio,
    Valkey and Go do.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((host, 0))
    port = int(probe.getsockname()[1])
    if sys.platform == "linux":
        atexit.register(probe.close)
    else:
        # Elsewhere a second bind is refused, also where neither socket listens.
        probe.close()
    return port


def busy(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there, or nothing may."""
    return _bound(port, host) is not None


class Claims:
    """Ports that this run is on its way to listen on, so that another run that starts in the same second takes others. Linux only."""

    def __init__(self) -> None:
        self._marks: list[socket.socket] = []

    def claim(self, port: int) -> bool:
        """Whether it is ours: nobody listens there, and no other run means to."""
        if busy(port):
            return False
        if sys.platform == "linux":
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                # A name without a file: it is gone with whoever has it.
                mark.bind(f"\0vtuber-port-{port}")
            except OSError:
                mark.close()
                return False
            self._marks.append(mark)
        return True

    def close(self) -> None:
        """Let go of all."""
        for mark in self._marks:
            mark.close()
        self._marks.clear()


def refusal(port: int, host: str) -> str | None:
    """Why the page cannot be served there, in one sentence with the way out; None where it can."""
    error = _bound(port, host)
    if error is None:
        return None
    if error.errno == errno.EADDRINUSE:
        return f"port {port}, which the page needs, is in use{holder(port)}. End that program, or choose another: PORT=8080 make run"
    if error.errno == errno.EACCES:
        return f"port {port} needs the rights of root. Choose one above 1023: PORT=8080 make run"
    return f"{host} is no address that this machine can listen on ({error.strerror or error}). There are {addresses.choices()}."


def _bound(port: int, host: str) -> OSError | None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # Without this a port that was used a moment ago counts as busy, and a restart would have to wait a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


def holder(port: int) -> str:
    """`" (process 123: python)"` where the system tells, else an empty text."""
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
            continue  # Not ours to look at, or gone.
    return ""


def _target(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""  # Closed since it was listed.
