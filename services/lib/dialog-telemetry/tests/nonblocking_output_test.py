import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dialog_telemetry.nonblocking_output import NonBlockingOutput, non_blocking


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """One that holds 4 kB."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def told(lines: int) -> str:
    return f"lost {lines}"


def everything(reading: int, until: str) -> str:
    got = b""
    while not got.decode().endswith(until):
        got += os.read(reading, 65536)
    return got.decode()


def test_a_pipe_that_is_read_gets_every_line_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    out = NonBlockingOutput(writing)
    for number in range(2_000):
        assert out.write(f"line {number}\n") == len(f"line {number}\n")
    assert everything(reading, "line 1999\n") == "".join(
        f"line {number}\n" for number in range(2_000)
    )
    assert out.drain(10)
    out.write("after\n")
    assert everything(reading, "after\n") == "after\n"
    assert out.lines_lost == 0


def test_a_pipe_that_nobody_reads_holds_no_writer_and_the_lost_lines_are_told(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    out = NonBlockingOutput(writing, lost=told, capacity=8_192)
    for number in range(10_000):
        out.write(f"line {number}\n")
    lost = out.lines_lost
    assert lost > 8_000
    with ThreadPoolExecutor() as pool:
        got = pool.submit(everything, reading, "works again\n")
        assert out.drain(10)
        out.write("works again\n")
        said = got.result(10).splitlines()
    kept = [int(line.split()[1]) for line in said if line.startswith("line")]
    assert kept == sorted(kept)
    assert len(kept) == 10_000 - lost
    assert said[-1] == "works again"
    assert [line for line in said if line.startswith("lost")][-1] == f"lost {lost}"


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reading, _ = pipe
    gone, writing = os.pipe()
    os.close(gone)
    out = NonBlockingOutput(writing)
    out.write("nobody\n")
    assert out.lines_lost == 1
    os.close(writing)


def test_a_full_disk_costs_the_lines_that_do_not_fit_and_tears_none(tmp_path: Path) -> None:
    file = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    out = NonBlockingOutput(descriptor, lost=told)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (35, hard))
        for number in range(5):
            out.write(f"line number {number}\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    out.write("there is room\n")
    os.close(descriptor)
    assert file.read_text().splitlines() == [
        "line number 0",
        "line number 1",
        "line nu"[: 35 - 28],
        "lost 3",
        "there is room",
    ]


def test_a_stream_without_a_descriptor_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert non_blocking(sys.stdout) is sys.stdout
    sys.stdout.write("seen\n")
    assert capsys.readouterr().out == "seen\n"


def test_where_python_has_no_stream_at_all_everything_is_taken() -> None:
    # `program >&-`
    program = "import structlog; from dialog_telemetry import log_config; log_config.configure('svc'); structlog.get_logger().info('x')"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -c "{program}" >&- 2>&-'],
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


SERVICE = """
import logging, sys, warnings, structlog
from dialog_telemetry import log_config
log_config.configure("svc")
for number in range(3_000):
    structlog.get_logger().info("turn", number=number, text="x" * 100)
    logging.getLogger("library").warning("odd")
    print("x" * 100, file=sys.stderr)
sys.__stdin__.readline()
open(sys.argv[1], "w").write("alive")
"""


def test_a_service_goes_on_where_nobody_reads_what_it_says(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [sys.executable, "-c", SERVICE, str(mark)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
        assert child.wait(20) == 0
        assert child.stdout is not None
    assert mark.read_text() == "alive"
