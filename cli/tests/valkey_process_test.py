"""The store as a process of a run.

Real ones, and programs that stand in for one that does not start.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vtuber_cli import ports, valkey, valkey_process
from vtuber_cli.console import Console
from vtuber_cli.processes import Processes, RunError

WITHIN_S = 30


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    made = Processes(Console(io.StringIO(), colours=False), tmp_path / "logs")
    yield made
    await made.stop_all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "valkey"
    made.mkdir()
    return made


def stands_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(valkey, "command", lambda *_: ["/bin/sh", "-c", script])


async def start(
    processes: Processes, folder: Path, port: int, within_s: float = WITHIN_S
) -> object:
    console = Console(io.StringIO(), colours=False)
    return await valkey_process.start(processes, console, folder, port, within_s)


async def test_it_answers_when_it_is_started_and_is_started_again_when_it_ends(
    processes: Processes, folder: Path
) -> None:
    port, out = ports.free(), io.StringIO()
    supervisor = await valkey_process.start(
        processes, Console(out, colours=False), folder, port, WITHIN_S
    )
    assert await valkey.is_responding(port)
    first = processes.pids()["valkey"]
    keeping = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            await supervisor.until_ready()
            processes.kill_all()
            while supervisor.is_ready:
                await asyncio.sleep(0.005)
            await supervisor.until_ready()
        assert await valkey.is_responding(port)
        assert processes.pids()["valkey"] != first
        assert valkey.WITHOUT in out.getvalue()
        assert "valkey is back." in out.getvalue()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_folder_that_it_cannot_start_with_is_named_with_its_last_words(
    processes: Processes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in(monkeypatch, "echo 'Bad file format reading the append only file'; exit 1")
    with pytest.raises(RunError) as failed:
        await start(processes, folder, ports.free())
    assert f"with the data in {folder}" in str(failed.value)
    assert str(failed.value).endswith("Its last line: Bad file format reading the append only file")


async def test_one_that_does_not_answer_in_time_is_not_waited_for(
    processes: Processes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in(monkeypatch, "exec sleep 1000")
    with pytest.raises(RunError, match="did not answer within 0 s; see .*valkey.log"):
        await start(processes, folder, ports.free(), within_s=0.1)


async def test_a_machine_without_it_is_told_what_to_do(
    processes: Processes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> list[str]:
        raise valkey.ValkeyMissing("no server here; set REDIS_URL")

    monkeypatch.setattr(valkey, "command", missing)
    with pytest.raises(RunError, match="set REDIS_URL"):
        await start(processes, folder, ports.free())
    assert processes.pids() == {}
