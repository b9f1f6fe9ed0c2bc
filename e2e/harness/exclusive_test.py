"""The place of a test among others, because promises in seconds stand on it."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import timeouts
from e2e.harness import exclusive


def kept(gate: Path) -> bool:
    with gate.open("w") as tried:
        try:
            fcntl.flock(tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[threading.Event, threading.Thread]]:
    """Somebody takes a place and keeps it until the event.

    A file that is opened again is locked again, also by the same process.
    """
    monkeypatch.setattr(exclusive, "FOLDER", tmp_path)

    def come(
        seen: list[str], name: str, *, by_himself: bool = False, waits: bool = False
    ) -> tuple[threading.Event, threading.Thread]:
        leaves = threading.Event()

        def stay() -> None:
            with exclusive.place(alone=by_himself):
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


@pytest.mark.parametrize(
    ("wall_s", "taken_s", "ours_s", "seconds"),
    [
        (3, 6, 6, 3),  # two cores, both of them ours
        (9, 6, 6, 9),  # six seconds of it were a wait
        (5, 10, 5, 2.5),  # others had a half
        (10, 20, 1, 0.5),  # others had nearly all
        (10, 5, 6, 10),  # the kernel counts in ticks
    ],
)
def test_what_others_take_of_the_machine_is_not_counted_and_a_wait_is(
    wall_s: float, taken_s: float, ours_s: float, seconds: float
) -> None:
    assert exclusive.undisturbed_s(wall_s, taken_s, ours_s, 2) == seconds


def test_the_stopwatch_runs() -> None:
    began = time.monotonic()
    watch = exclusive.Stopwatch()
    time.sleep(0.2)
    assert 0 <= watch.seconds(os.getpid()) <= time.monotonic() - began
