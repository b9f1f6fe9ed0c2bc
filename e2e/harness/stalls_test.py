"""What stands still goes on."""

import random
import subprocess
import sys

import psutil
import pytest

from e2e.harness import stalls

SLEEPS = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(30)'])"
)


def test_all_that_were_stopped_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "STOPPED_S", (0.01, 0.02))
    chance = random.Random(1)
    with subprocess.Popen([sys.executable, "-c", SLEEPS]) as running:
        below = psutil.Process(running.pid)
        while not below.children(recursive=True):
            pass
        try:
            assert [stalls.stop_some(below, chance) for _ in range(10)] == [1] * 10
            assert all(
                child.status() != psutil.STATUS_STOPPED for child in below.children(recursive=True)
            )
        finally:
            for child in below.children(recursive=True):
                child.kill()


def test_what_a_test_has_stopped_itself_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "STOPPED_S", (0.01, 0.02))
    with subprocess.Popen([sys.executable, "-c", SLEEPS]) as running:
        below = psutil.Process(running.pid)
        while not (children := below.children(recursive=True)):
            pass
        try:
            children[0].suspend()
            while children[0].status() != psutil.STATUS_STOPPED:
                pass
            assert [stalls.stop_some(below, random.Random(1)) for _ in range(5)] == [0] * 5
            assert children[0].status() == psutil.STATUS_STOPPED
        finally:
            children[0].kill()


def test_the_commands_status_is_given() -> None:
    assert stalls.main([sys.executable, "-c", "import sys; sys.exit(3)"]) == 3
