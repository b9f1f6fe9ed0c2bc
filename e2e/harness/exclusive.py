"""Promises that are seconds on the wall.

Measured while no other worker is inside a test, and by the share of the machine that was ours.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from e2e.harness.stack import ROOT

FOLDER = ROOT / ".pytest_cache"


@contextmanager
def place(*, alone: bool) -> Iterator[None]:
    """A test's place on this machine, shared with those of other workers unless it is `alone`.

    Waits.
    """
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "gate.lock").open("w") as gate, (FOLDER / "room.lock").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        # Whoever waits for an empty room keeps the gate: otherwise others would come in one after
        # the other, and it never were empty.
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


class Stopwatch:
    """Seconds, less the share of this machine that others had meanwhile.

    Programs that are none of ours, and the host of a virtual one.
    """

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), _taken_s()

    def seconds(self, pid: int) -> float:
        """Since it was started, where a process and its children were what had to be waited for.

        They run still.
        """
        runner = psutil.Process(pid)
        ours = sum(_used_s(process) for process in (runner, *runner.children(recursive=True)))
        return undisturbed_s(
            time.monotonic() - self._began, _taken_s() - self._before, ours, os.cpu_count() or 1
        )


def undisturbed_s(wall_s: float, taken_s: float, ours_s: float, cores: int) -> float:
    """Of what all cores did in that time, so much was ours.

    A wait counts as far as the machine was idle: on a full one, only work does.
    """
    return max(0.0, wall_s - max(0.0, taken_s - ours_s) / cores)


def _taken_s() -> float:
    """Of all cores together, by whomever."""
    now = psutil.cpu_times()
    return float(now.user + now.nice + now.system + getattr(now, "steal", 0.0))


def _used_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)
