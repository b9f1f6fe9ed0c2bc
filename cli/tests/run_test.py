import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from vtuber_cli import ports, processes, readiness, restart_policy, service_addresses
from vtuber_cli.console import Console
from vtuber_cli.process import Process
from vtuber_cli.run import Runner, RunOptions
from vtuber_cli.settings import RunSettings, ServiceSpec

READY = """
import http.server, json, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"flag": os.environ["FLAG"], "other": os.environ["OTHER"]}).encode())
    def log_message(self, *args):
        pass
print(json.dumps({"event": "listening", "level": "info"}), flush=True)
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Ready).serve_forever()
"""
DYING = "import sys; sys.exit(7)"
STUBBORN = (
    """
import signal, subprocess, sys
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])
"""
    + READY
)
CHATTY = (
    """
import sys, threading
def talk():
    for number in range(3_000):
        sys.stdout.write("x" * 1_000 + "\\n")
        sys.stdout.flush()
    sys.stdout.write("y" * 3_000_000 + "\\nsaid everything\\n")
    sys.stdout.flush()
threading.Thread(target=talk, daemon=True).start()
"""
    + READY
)
MISCONFIGURED = "import sys; print('gateway: FLAG: must be a number'); sys.exit(2)"
FLAKY = (
    """
import os, pathlib, sys
mark = pathlib.Path(os.environ["MARK"])
if not mark.exists():
    mark.write_text("once")
    sys.exit(7)
"""
    + READY
)

Settings = Callable[..., RunSettings]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def made(program: str, **env: str) -> RunSettings:
        (tmp_path / "fake_service.py").write_text(program)
        inherited = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tmp_path),
            "FLAG": "from the shell",
        }
        spec = ServiceSpec(
            "gateway",
            "fake_service",
            ports.free(),
            "yellow",
            {"OTHER": "http://127.0.0.1:{gateway}", **env},
            service="gateway",
            without="the page is gone",
        )
        profile = {"FLAG": "from the profile", "QUIET": "true"}
        return RunSettings(
            (spec,), profile, inherited, redis_url="redis://127.0.0.1:1/0", port=None
        )

    return made


async def test_a_busy_port_is_one_sentence_that_names_its_holder(
    tmp_path: Path, settings: Settings
) -> None:
    out = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        runner = Runner(
            settings(READY), RunOptions(data=tmp_path / "data", port=port), Console(out)
        )
        assert await runner.run() == 1
    said = out.getvalue()
    assert f"port {port}, which the page needs, is in use (process {os.getpid()}: " in said
    assert "PORT=8080 make run" in said
    assert said.count("\n") == 1


async def test_it_runs_until_ctrl_c_and_says_where(tmp_path: Path, settings: Settings) -> None:
    out, state = io.StringIO(), tmp_path / "state.json"
    options = RunOptions(data=tmp_path / "data", ephemeral=True, state=state)
    running = asyncio.create_task(Runner(settings(READY), options, Console(out)).run())
    async with asyncio.timeout(10):
        while not (state.exists() and state.read_text()):
            await asyncio.sleep(0.02)
    told = json.loads(state.read_text())
    assert {one.name: one.port for one in service_addresses.read(tmp_path / "data")} == told[
        "ports"
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", told["ports"]["gateway"])
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()
    assert json.loads(body) == {"flag": "from the shell", "other": told["url"]}

    signal.raise_signal(signal.SIGINT)
    assert await asyncio.wait_for(running, 5) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(told["pids"]["gateway"], 0)
    said = out.getvalue()
    assert f"http://localhost:{told['ports']['gateway']}" in said
    assert f'vtuber say "hello" --url {told["url"].replace("127.0.0.1", "localhost")}\n' in said
    assert "gateway         listening" in said
    assert said.endswith("Stopping …\n")


async def test_a_wrong_setting_ends_the_run_with_the_services_own_words(
    tmp_path: Path, settings: Settings
) -> None:
    out = io.StringIO()
    runner = Runner(
        settings(MISCONFIGURED), RunOptions(data=tmp_path / "data", ephemeral=True), Console(out)
    )
    assert await asyncio.wait_for(runner.run(), 10) == 1
    assert out.getvalue().splitlines()[-1] == "Cannot run: gateway: FLAG: must be a number"


async def test_a_service_that_has_ended_is_not_ready_whoever_answers_on_its_port(
    tmp_path: Path, settings: Settings
) -> None:
    runner = Runner(
        settings(READY), RunOptions(data=tmp_path / "data", ephemeral=True), Console(io.StringIO())
    )
    (spec,) = runner._services
    env = {"HOST": "127.0.0.1", "PORT": str(spec.port), "FLAG": "", "OTHER": ""}
    somebody = Process("somebody", [sys.executable, "-c", READY], env, lambda _: None)
    await somebody.start()
    await runner._processes.launch("gateway", "blue", [sys.executable, "-c", ""], {})
    await runner._processes.wait("gateway")
    async with asyncio.timeout(10):
        while not readiness.fetch_readiness(spec.port)[0]:
            await asyncio.sleep(0.02)
    assert await runner._state(spec) == (False, "it has ended")
    await runner._processes.stop_all()
    await somebody.stop(1)


async def test_a_service_that_crashes_is_started_again(tmp_path: Path, settings: Settings) -> None:
    out, state = io.StringIO(), tmp_path / "state.json"
    options = RunOptions(data=tmp_path / "data", ephemeral=True, state=state)
    runner = Runner(settings(FLAKY, MARK=str(tmp_path / "mark")), options, Console(out))
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        while not (state.exists() and state.read_text()):
            await asyncio.sleep(0.02)
    assert (
        "gateway ended with status 7; restarting in 0.3 s. Until then the page is gone. Its log: "
        in out.getvalue()
    )
    assert "gateway is back." in out.getvalue()
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 5) == 0


async def started(state: Path, running: asyncio.Task[int]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not (state.exists() and state.read_text()):
            assert not running.done()
            await asyncio.sleep(0.02)
    told: dict[str, Any] = json.loads(state.read_text())
    return told


async def test_what_keeps_ending_ends_nothing_else(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart_policy, "FIRST_S", 0.01)
    monkeypatch.setattr(restart_policy, "LONGEST_S", 0.02)
    out, state = io.StringIO(), tmp_path / "state.json"
    loaded = settings(READY)
    (tmp_path / "dying_service.py").write_text(DYING)
    engine = replace(
        loaded.services[0],
        name="dialog-engine",
        module="dying_service",
        port=ports.free(),
        without="others answer",
    )
    runner = Runner(
        replace(loaded, services=(*loaded.services, engine)),
        RunOptions(data=tmp_path / "data", ephemeral=True, state=state),
        Console(out),
    )
    running = asyncio.create_task(runner.run())
    await started(state, running)
    async with asyncio.timeout(20):
        while out.getvalue().count("dialog-engine ended with status 7") < 6:
            assert not running.done()
            await asyncio.sleep(0.02)
    assert (
        "Without dialog-engine: it ended with status 7. Until it is ready, others answer. See "
        in out.getvalue()
    )
    (tmp_path / "dying_service.py").write_text(READY)
    async with asyncio.timeout(20):
        while "dialog-engine is back." not in out.getvalue():
            await asyncio.sleep(0.02)
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


async def test_what_ran_well_and_then_refuses_its_settings_ends_nothing(
    tmp_path: Path, settings: Settings
) -> None:
    out, state = io.StringIO(), tmp_path / "state.json"
    runner = Runner(
        settings(READY),
        RunOptions(data=tmp_path / "data", ephemeral=True, state=state),
        Console(out),
    )
    running = asyncio.create_task(runner.run())
    told = await started(state, running)
    (tmp_path / "fake_service.py").write_text(MISCONFIGURED)
    os.kill(told["pids"]["gateway"], signal.SIGKILL)
    async with asyncio.timeout(20):
        while "gateway ended with status 2; restarting" not in out.getvalue():
            assert not running.done()
            await asyncio.sleep(0.02)
    signal.raise_signal(signal.SIGHUP)
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_second_ctrl_c_ends_at_once_what_does_not_listen_and_all_that_it_started(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 300)
    state = tmp_path / "state.json"
    options = RunOptions(data=tmp_path / "data", ephemeral=True, state=state)
    running = asyncio.create_task(Runner(settings(STUBBORN), options, Console(io.StringIO())).run())
    told = await started(state, running)
    below = psutil.Process(told["pids"]["gateway"]).children()
    assert len(below) == 1
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0.1)
    assert not running.done()
    signal.raise_signal(signal.SIGINT)
    assert await asyncio.wait_for(running, 20) == 0
    _, alive = psutil.wait_procs(below, timeout=5)
    assert alive == []


async def test_a_process_that_stands_still_is_ended_too(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.1)
    state = tmp_path / "state.json"
    options = RunOptions(data=tmp_path / "data", ephemeral=True, state=state)
    running = asyncio.create_task(Runner(settings(READY), options, Console(io.StringIO())).run())
    told = await started(state, running)
    os.kill(told["pids"]["gateway"], signal.SIGSTOP)
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0
    assert not psutil.pid_exists(told["pids"]["gateway"])


async def test_logs_that_cannot_be_written_and_lines_without_end_hold_no_service(
    tmp_path: Path, settings: Settings
) -> None:
    out, state, data = io.StringIO(), tmp_path / "state.json", tmp_path / "data"
    running = asyncio.create_task(
        Runner(
            settings(CHATTY), RunOptions(data=data, ephemeral=True, state=state), Console(out)
        ).run()
    )
    async with asyncio.timeout(10):
        while not (data / "logs" / "gateway.log").exists():
            await asyncio.sleep(0)
    # As on a full disk: the next file cannot be made.
    (data / "logs" / "gateway.log").unlink()
    (data / "logs").rename(data / "moved")
    (data / "logs").write_text("")
    async with asyncio.timeout(20):
        while "said everything" not in out.getvalue():
            assert not running.done()
            await asyncio.sleep(0.02)
    assert "bytes more)" in out.getvalue()
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


async def test_everything_of_a_run_is_its_owners_alone(tmp_path: Path, settings: Settings) -> None:
    state, data = tmp_path / "state.json", tmp_path / "data"
    # As a service makes its database.
    program = f"open({str(data / 'made.db')!r}, 'w').close()\n" + READY
    loaded = settings(program)
    running = asyncio.create_task(
        Runner(
            loaded, RunOptions(data=data, ephemeral=True, state=state), Console(io.StringIO())
        ).run()
    )
    await started(state, running)
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0
    assert (data / "made.db").exists()
    assert [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077] == []


async def test_ports_of_services_move_where_they_are_taken_and_the_pages_address_is_a_persons(
    tmp_path: Path, settings: Settings
) -> None:
    out, state = io.StringIO(), tmp_path / "state.json"
    loaded = settings(READY)
    page = ports.free("127.0.0.2")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        engine = replace(loaded.services[0], name="dialog-engine", port=taken)
        runner = Runner(
            replace(loaded, services=(*loaded.services, engine)),
            RunOptions(data=tmp_path / "data", port=page, host="127.0.0.2", state=state),
            Console(out),
        )
        running = asyncio.create_task(runner.run())
        told = await started(state, running)
    assert told["url"] == f"http://127.0.0.2:{page}"
    assert told["ports"]["dialog-engine"] != taken
    assert (
        "  The usual ports of dialog-engine are in use; other ports were assigned.\n"
        in out.getvalue()
    )
    assert f"http://127.0.0.2:{page} " in out.getvalue()
    assert readiness.fetch_readiness(page, "127.0.0.2") == (True, "")
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_store_that_is_garbage_is_one_sentence(tmp_path: Path, settings: Settings) -> None:
    out, store = io.StringIO(), tmp_path / "data" / "valkey" / "appendonlydir"
    store.mkdir(parents=True)
    (store / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    (store / "appendonly.aof.1.incr.aof").write_bytes(b"garbage" * 50)
    loaded = replace(settings(READY), redis_url=None)
    runner = Runner(loaded, RunOptions(data=tmp_path / "data", ephemeral=True), Console(out))
    assert await asyncio.wait_for(runner.run(), 30) == 1
    said = out.getvalue()
    assert said.count("\n") == 1
    assert (
        f"Valkey does not start with the data in {tmp_path / 'data' / 'valkey'}: free disk space, or move that folder away"
        in said
    )
    assert "Bad file format" in said
