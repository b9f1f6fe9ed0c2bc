"""The place of a test among others, because promises in seconds stand on it."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import timeouts
from e2e.harness import alone


def kept(gate: Path) -> bool:
    with gate.open("w") as tried:
        try:
            fcntl.flock(tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[threading.Event, threading.Thread]]:
    """Somebody takes a place and keeps it until the event: a file that is opened again is locked again, also by the same process."""
    monkeypatch.setattr(alone, "FOLDER", tmp_path)

    def come(
        seen: list[str], name: str, *, by_himself: bool = False, waits: bool = False
    ) -> tuple[threading.Event, threading.Thread]:
        leaves = threading.Event()

        def stay() -> None:
            with alone.place(alone=by_himself):
                seen.append(name)
                assert leaves.wait(timeouts.TURN)
                seen.append(f"{name} leaves")

        thread = threading.Thread(target=stay)
        thread.start()
        while not (kept(tmp_path / "gate.lock") if waits else name in seen):
            time.sleep(0.01)
        return leaves, thread

    return come


def test_who_is_alone_waits_for_an_empty_room_and_lets_nobody_in_before(
    come: Callable[..., tuple[threading.Event, threading.Thread]],
) -> None:
    seen: list[str] = []
    guests = [come(seen, "first"), come(seen, "second")]
    guests += [come(seen, "loner", by_himself=True, waits=True), come(seen, "late", waits=True)]
    assert seen == ["first", "second"]
    for leaves, thread in guests:
        leaves.set()
        thread.join(timeouts.TURN)
    assert seen[2:4] == ["first leaves", "second leaves"]
    assert seen[4:] == ["loner", "loner leaves", "late", "late leaves"]


def test_what_others_take_of_the_machine_is_not_counted_and_waiting_is() -> None:
    busy = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)]
    try:
        began, watch = time.monotonic(), alone.Stopwatch()
        ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
        time.sleep(1.5)
        crowded = watch.seconds(ours.pid) / (time.monotonic() - began)
    finally:
        for other in others:
            other.kill()
            other.wait()
    began, watch = time.monotonic(), alone.Stopwatch()
    time.sleep(1)
    quiet = watch.seconds(ours.pid) / (time.monotonic() - began)
    ours.kill()
    ours.wait()
    assert crowded < 0.5
    assert quiet > crowded
