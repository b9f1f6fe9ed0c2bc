import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from vtuber_cli.log_file import FILES, LogFile

FullDisk = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def disk_full_from() -> FullDisk:
    """Files of this process cannot grow beyond so many bytes while the block runs."""

    @contextmanager
    def full(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)

    return full


def test_it_keeps_everything_and_remembers_the_last_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "gateway.log")
    for number in range(30):
        log.add(f"line {number} 今晚")
    assert log.last == [f"line {number} 今晚" for number in range(18, 30)]
    log.close()
    assert log.path.read_text(encoding="utf-8").splitlines()[0] == "line 0 今晚"
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


def test_on_a_full_disk_lines_are_lost_and_counted_and_later_ones_are_whole(
    tmp_path: Path, disk_full_from: FullDisk
) -> None:
    log = LogFile(tmp_path / "a.log")
    with disk_full_from(12):
        for number in range(4):
            log.add(f"line {number}")
    assert log.lines_lost == 3
    assert log.last[-1] == "line 3"
    log.add("there is room")
    log.close()
    assert log.path.read_text().splitlines() == [
        "line 0",
        "line ",
        "(3 lines could not be written here)",
        "there is room",
    ]


def test_a_folder_that_is_a_file_for_a_while_ends_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    log = LogFile(folder / "a.log")
    log.add("lost")
    folder.unlink()
    log.add("kept")
    log.close()
    assert log.path.read_text().splitlines() == ["(1 lines could not be written here)", "kept"]


def test_files_are_bounded_in_size_and_number_also_over_several_runs(tmp_path: Path) -> None:
    for run in range(4):
        log = LogFile(tmp_path / "a.log", file_bytes=1_000)
        for number in range(100):
            log.add(f"run {run}, line {number:3} {'x' * 20}")
        log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["a.log", "a.log.1", "a.log.2"][:FILES]
    assert all(file.stat().st_size < 1_100 for file in files)
    assert log.path.read_text().splitlines()[-1].startswith("run 3, line  99")
