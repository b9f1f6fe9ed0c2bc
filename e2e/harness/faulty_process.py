"""The faulty engine as a process of this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.harness.stack import ROOT, environment
from vtuber_cli import ports


@contextmanager
def running() -> Iterator[str]:
    """A process; gives what DIALOG_ENGINE_URL has to be."""
    port = ports.free()
    command = [
        sys.executable,
        "-m",
        "e2e.harness.faulty_engine",
        str(port),
        "127.0.0.1",
        "127.0.0.1",
    ]
    process = subprocess.Popen(command, env=environment({}), cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while not ports.busy(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/{{dialog-engine}}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            # It waits for callers that it leaves without an answer.
            process.kill()
            process.wait(timeout=5)
