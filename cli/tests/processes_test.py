import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from vtuber_cli import processes as processes_module
from vtuber_cli.console import Console
from vtuber_cli.processes import CALLED, GRACE_S, KILL_GRACE_S, Processes, RunError

WITHIN_S = 20
CTRL_C_S = 5
ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def running(tmp_path: Path, out: io.StringIO) -> AsyncIterator[Processes]:
    made = Processes(Console(out, colours=False), tmp_path / "logs")
    yield made
    made.kill_all()
    for name in made.pids():
        await made.wait(name)
    await made.stop_all()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.005)


async def launch(running: Processes, name: str, script: str, **env: str) -> None:
    await running.launch(name, "grey", ["/bin/sh", "-c", script], {**ENV, **env})


async def listening(running: Processes, name: str, script: str) -> None:
    """Launched, and as far as to say that it is ready."""
    await launch(running, name, f"{script}; echo ready; sleep 1000 & wait")
    await until(lambda: running.last_words(name) == "ready")


async def test_what_one_says_is_printed_and_filed_and_its_status_is_known(
    running: Processes, out: io.StringIO
) -> None:
    await launch(running, "gateway", "echo $GREETING; echo late; exit 3", GREETING="hello")
    assert await running.wait("gateway") == 3
    assert running.ended("gateway")
    assert running.log_of("gateway").read_text() == "hello\nlate\n"
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["gateway", "hello"],
        ["gateway", "late"],
    ]


async def test_the_store_is_filed_and_not_printed(running: Processes, out: io.StringIO) -> None:
    await launch(running, "valkey", "echo hello")
    await running.wait("valkey")
    assert running.log_of("valkey").read_text() == "hello\n"
    assert out.getvalue() == ""


async def test_one_that_never_began_or_cannot_begin_has_ended(running: Processes) -> None:
    assert running.ended("gateway")
    with pytest.raises(RunError, match="gateway cannot be started.*make clean"):
        await running.launch("gateway", "grey", ["/nowhere/python"], ENV)
    assert running.ended("gateway")
    assert running.pids() == {}


async def test_one_that_is_started_again_goes_on_in_its_log(running: Processes) -> None:
    for said in ("one", "two"):
        await launch(running, "tts", f"echo {said}")
        await running.wait("tts")
    assert running.log_of("tts").read_text() == "one\ntwo\n"


async def test_a_crash_is_reported_with_its_last_lines(running: Processes) -> None:
    assert running.ended("tts")
    await launch(running, "tts", 'for n in 1 2 3 4 5 6 7 8; do echo "line $n"; done; exit 4')
    await running.wait("tts")
    report = running.crash_report("tts").splitlines()
    assert report[0].startswith("tts ended with status 4.")
    assert str(running.log_of("tts")) in report[0]
    assert [line.strip() for line in report[1:]] == [f"line {n}" for n in range(3, 9)]
    assert running.last_words("tts") == "line 8"


async def test_one_that_refuses_its_settings_is_quoted(running: Processes) -> None:
    await launch(
        running,
        "dialog-engine-1",
        "echo starting; echo 'dialog-engine: PORT: too high'; echo 'dialog-engine: LLM: unknown'; exit 2",
    )
    await running.wait("dialog-engine-1")
    assert running.refusal("dialog-engine-1") == (
        "dialog-engine: PORT: too high\ndialog-engine: LLM: unknown"
    )


async def test_one_that_refuses_in_other_words_is_quoted_as_a_crash(running: Processes) -> None:
    await launch(running, "tts", "echo 'Traceback: no'; exit 2")
    await running.wait("tts")
    assert running.refusal("tts") == running.crash_report("tts")
    await launch(running, "asr", "exit 2")
    await running.wait("asr")
    assert running.last_words("asr") == "nothing"
    assert running.refusal("asr").startswith("asr ended with status 2.")


async def test_those_that_others_call_end_last(running: Processes, tmp_path: Path) -> None:
    order = tmp_path / "order"
    names = ("valkey", "output-handler-1", "output-handler", "gateway", "dialog-engine")
    for name in names:
        await listening(running, name, f"trap 'echo {name} >> {order}; exit 0' TERM")
    await running.stop_all()
    ended = order.read_text().split()
    assert set(ended[:2]) == {"gateway", "dialog-engine"}
    assert set(ended[2:4]) == {"output-handler", "output-handler-1"}
    assert ended[4:] == ["valkey"]
    assert all(running.ended(name) for name in names)


async def test_one_that_does_not_listen_is_ended_with_all_that_it_started(
    running: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_module, "GRACE_S", 0.05)
    await listening(running, "gateway", "trap '' TERM; sleep 1000 & true")
    parent = psutil.Process(running.pids()["gateway"])
    children = parent.children()
    assert children
    async with asyncio.timeout(WITHIN_S):
        await running.stop_all()
    await until(lambda: not any(child.is_running() for child in [parent, *children]))


def test_ctrl_c_has_ended_everything_before_a_person_loses_patience() -> None:
    assert GRACE_S + len(CALLED) * KILL_GRACE_S < CTRL_C_S


async def test_killing_ends_all_at_once(running: Processes) -> None:
    for name in ("gateway", "valkey"):
        await listening(running, name, "trap '' TERM")
    running.kill_all()
    async with asyncio.timeout(WITHIN_S):
        assert {await running.wait(name) for name in ("gateway", "valkey")} == {-9}


async def test_lines_that_are_lost_are_said_once(
    running: Processes, tmp_path: Path, out: io.StringIO
) -> None:
    (tmp_path / "logs").write_text("no folder")
    await launch(running, "tts", "echo one; echo two; echo three")
    assert await running.wait("tts") == 0
    said = out.getvalue()
    assert said.count("Log lines are lost:") == 1
    assert said.count("tts ") >= 3, "they are printed nevertheless"
