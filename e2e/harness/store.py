"""A Valkey of a test's own, to be killed and stopped."""

import socket
import subprocess
import time
from pathlib import Path

from vtuber_cli import ports, valkey


class Store:
    """Not running until entered as a context; its port is fixed from the start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = ports.free()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Store":
        self.start()
        return self

    def start(self) -> None:
        """Start it, also again after `kill`; nothing happens if it runs."""
        if self._process is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            valkey.command(self._folder, self._port), stdout=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    # It accepts connections while it still reads its file.
                    if probe.recv(100).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("Valkey did not start")

    def __exit__(self, *error: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
