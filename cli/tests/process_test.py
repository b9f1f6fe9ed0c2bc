import asyncio
import sys

import psutil

from vtuber_cli.process import Process

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
sys.exit(7)
"""


async def test_what_a_process_leaves_behind_ends_with_it_and_its_end_is_noticed_at_once() -> None:
    lines = list[str]()
    process = Process("leaving", [sys.executable, "-c", LEAVES_A_CHILD], {}, lines.append)
    await process.start()
    # The child holds the pipe of what it says: nobody waits for that.
    assert await asyncio.wait_for(process.wait(), 20) == 7
    (left,) = lines
    _, alive = psutil.wait_procs(
        [psutil.Process(int(left))] if psutil.pid_exists(int(left)) else [], timeout=10
    )
    assert alive == []


async def test_a_line_without_an_end_and_bytes_that_are_no_text_are_read_too() -> None:
    lines = list[str]()
    program = "import os; os.write(1, b'\\xff\\xfe one\\n' + b'x' * 2_000_000 + b'\\nlast')"
    process = Process("loud", [sys.executable, "-c", program], {}, lines.append)
    await process.start()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert lines[0] == "\ufffd\ufffd one"
    assert lines[1].endswith("bytes more)")
    assert lines[2] == "last"
