import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vtuber_cli import ports, readiness
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
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready).serve_forever()
"""
MISCONFIGURED = "import sys; print('FLAG: must be a number'); sys.exit(2)"
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
        inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "FLAG": "from the shell"}
        spec = ServiceSpec(
            "gateway", "fake_service", ports.free(), "yellow", {"OTHER": "http://127.0.0.1:{gateway}", **env}, service="gateway"
        )
        profile = {"FLAG": "from the profile", "QUIET": "true"}
        return RunSettings((spec,), profile, inherited, redis_url="redis://127.0.0.1:1/0", port=None)

    return made


async def test_a_busy_port_is_one_sentence_that_names_its_holder(tmp_path: Path, settings: Settings) -> None:
    out = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        runner = Runner(settings(READY), RunOptions(data=tmp_path / "data", port=port), Console(out))
        assert await runner.run() == 1
    said = out.getvalue()
    assert f"port {port}, which gateway needs, is in use (process {os.getpid()}: " in said
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


async def test_a_wrong_setting_ends_the_run_with_the_services_own_words(tmp_path: Path, settings: Settings) -> None:
    out = io.StringIO()
    runner = Runner(settings(MISCONFIGURED), RunOptions(data=tmp_path / "data", ephemeral=True), Console(out))
    assert await asyncio.wait_for(runner.run(), 10) == 1
    assert "Cannot run: gateway ended with status 2" in out.getvalue()
    assert "    FLAG: must be a number" in out.getvalue()


async def test_a_service_that_has_ended_is_not_ready_whoever_answers_on_its_port(tmp_path: Path, settings: Settings) -> None:
    runner = Runner(settings(READY), RunOptions(data=tmp_path / "data", ephemeral=True), Console(io.StringIO()))
    (spec,) = runner._services
    env = {"PORT": str(spec.port), "FLAG": "", "OTHER": ""}
    somebody = Process("somebody", [sys.executable, "-c", READY], env, lambda _: None)
    await somebody.start()
    await runner._processes.launch("gateway", "blue", [sys.executable, "-c", ""], {})
    await runner._processes.wait("gateway")
    async with asyncio.timeout(10):
        while not readiness.of(spec.port)[0]:
            await asyncio.sleep(0.02)
    assert runner._state(spec) == (False, "it has ended")
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
    assert "gateway ended with status 7; it is started again" in out.getvalue()
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, 5) == 0
