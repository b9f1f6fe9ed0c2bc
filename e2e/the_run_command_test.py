"""`make run`.

One command up, Ctrl-C down with nothing left, clear sentences when it cannot, and conversations
that stay.
"""

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from e2e import timeouts
from e2e.harness.clients import chat, get, watching
from e2e.harness.exclusive import Stopwatch
from e2e.harness.stack import FAKES, ROOT, Stack, environment, running
from vtuber_cli import valkey

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


AS_IT_COMES = {"LEGACY_ENABLED": "true", "MICROPHONE_ENABLED": "true", "WORKERS_ENABLED": "true"}
"""What `make run` starts, which most tests leave out."""

PROGRAMS = [
    *(
        "valkey-server",
        "gateway",
        "input_handler",
        "dialog_engine",
        "output_handler",
        "dialog_voice.providers.espeak.process",
    ),
    *(
        "memory",
        "chat_ai",
        "tts",
        "asr",
        "long_term_memory",
        "async_workers",
        "async_workers",
        "dialog_voice.providers.espeak.process",
    ),
]


def program_of(line: list[str]) -> str:
    """What a process of ours runs, by its command line."""
    if "-m" in line:
        return line[2]
    if "-c" in line:
        return next(
            name for name in PROGRAMS if name.rpartition(".")[2] in line[line.index("-c") + 1]
        )
    return Path(line[0].split()[0]).name


def everything_of(stack: Stack) -> list[psutil.Process]:
    """All processes below the runner, each of which is one that belongs there."""
    children = psutil.Process(stack.process.pid).children(recursive=True)
    lines = [child.cmdline() for child in children]
    programs = [program_of(line) for line in lines]
    assert sorted(programs) == sorted(PROGRAMS), (stack.data / "run.log").read_text()
    return children


@pytest.mark.alone
async def test_ctrl_c_ends_everything_the_second_run_has_the_sessions_and_not_even_a_killed_runner_leaves_anything(
    tmp_path: Path,
) -> None:
    with running(tmp_path, AS_IT_COMES) as stack:
        answer = await chat(stack.url, "kept", "My name is Tom.")
        await stack.whole()
        children = everything_of(stack)
        # In the middle of a word, with a listener and somebody who waits for text.
        async with watching(stack.ws, "open") as viewer:
            asking = asyncio.create_task(
                chat(stack.url, "open", "Please tell me everything you can do.")
            )
            await viewer.until(lambda v: v.chunks)
            began = time.monotonic()
            stack.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(stack.process.wait, timeouts.TURN) == 0
            assert time.monotonic() - began < timeouts.ALL_ENDED
            assert [
                child
                for child in children
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
            ] == []
            await asyncio.gather(asking, return_exceptions=True)
    nobody_was_refused(tmp_path)
    watch = Stopwatch()
    with running(tmp_path, AS_IT_COMES) as again:
        assert watch.seconds(again.process.pid) < timeouts.READY_AGAIN
        kept = (await get(f"{again.url}/sessions/kept/turns"))["turns"]
        assert [entry["user"] for entry in kept] == ["My name is Tom."]
        second = await chat(again.url, "kept", "What is my name?")
        assert second.turn == answer.turn + 1
        assert "Tom" in second.text
        await again.whole()
        children = everything_of(again)
        os.kill(again.process.pid, signal.SIGKILL)
        again.process.wait()
        _, alive = psutil.wait_procs(children, timeout=timeouts.ALL_ENDED)
        assert alive == []


def nobody_was_refused(data: Path) -> None:
    """Neither at the start nor at the end of a run does a process call one that is not there."""
    said = (data / "run.log").read_text().splitlines()
    assert [
        line
        for line in said
        if "efused" in line or "not_connected" in line or "unreachable" in line
    ] == []


def say(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "vtuber_cli",
        "say",
        "Hello there!",
        "--session",
        "cli",
        "--url",
        url,
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def run_until_it_gives_up(
    data: Path, env: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vtuber_cli", "run", "--data", str(data), *options]
    return subprocess.run(
        command,
        env=environment(env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_busy_port_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_until_it_gives_up(tmp_path, {}, "--ephemeral", "--port", str(port))
    assert ended.returncode == 1
    last = ended.stdout.strip().splitlines()[-1]
    assert f"port {port}" in last
    assert "PORT=" in last
    assert "Traceback" not in ended.stdout + ended.stderr


async def test_a_wrong_setting_is_named_and_nothing_keeps_running(tmp_path: Path) -> None:
    wrong = {
        "LLM_CHAIN: 'nonsense' is not known": {"LLM_CHAIN": "nonsense"},
        "SYNC_TTS_BARGE_IN is on but needs SYNC_TTS_STREAMING": {
            "SYNC_TTS_STREAMING": "false",
            "SYNC_TTS_BARGE_IN": "true",
        },
    }
    runs = (
        asyncio.to_thread(run_until_it_gives_up, tmp_path / str(number), env, "--ephemeral")
        for number, env in enumerate(wrong.values())
    )
    for said, ended in zip(wrong, await asyncio.gather(*runs), strict=True):
        assert ended.returncode == 1
        assert said in ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr


async def test_one_variable_goes_back_to_the_chain_of_queues(tmp_path: Path) -> None:
    env = {
        **FAKES,
        "FAKE_WORDS": "8",
        "FAKE_WORD_S": "0.005",
        "FAKE_CHAR_MS": "10",
        "ENABLE_SYNC_CORE": "false",
    }
    with running(tmp_path, env, legacy=True, options=["--https"]) as stack:
        assert stack.url.startswith("https://127.0.0.1:")
        told = await asyncio.to_thread(say, stack.url, "--wav", str(tmp_path / "back.wav"))
    assert "answered by the fallback: sync_core_off" in told.stdout, told.stderr
    said = (tmp_path / "run.log").read_text()
    assert (
        "ENABLE_SYNC_CORE is off, and so are the flags that need it: SYNC_TTS_STREAMING, " in said
    )


async def test_what_is_not_built_yet_is_said(as_newcomer: Stack) -> None:
    state = await get(as_newcomer.service("input-handler") + "/readyz")
    assert state["ready"]
    assert set(state["unsupported"]) == {"ENABLE_LTM"}


def test_say_prints_the_text_and_the_times_and_saves_the_voice(
    fake_models: Stack, tmp_path: Path
) -> None:
    wav = tmp_path / "out.wav"
    said = say(fake_models.url, "--wav", str(wav))
    lines = said.stdout.strip().splitlines()
    assert len(lines[0]) > 20
    assert "first text" in lines[-1]
    assert "first audio" in lines[-1]
    assert lines[-1].startswith("cli#1")
    data = wav.read_bytes()
    assert data[:4] == b"RIFF"
    assert len(data) > 48_000
    refused = say("http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "make run" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_what_is_said_on_a_full_pipe_and_a_store_that_is_killed_end_nothing(
    tmp_path: Path,
) -> None:
    state, out = tmp_path / "state.json", tmp_path / "said"
    os.mkfifo(out)
    # Somebody who holds the other end and never reads, as a pager does.
    pager = os.open(out, os.O_RDWR)
    command = [
        sys.executable,
        "-m",
        "vtuber_cli",
        "run",
        "--ephemeral",
        "--data",
        str(tmp_path),
        "--state",
        str(state),
    ]
    env = environment(
        {
            **FAKES,
            "FAKE_WORDS": "8",
            "FAKE_CHAR_MS": "10",
            "LEGACY_ENABLED": "false",
            "MICROPHONE_ENABLED": "false",
        }
    )
    with out.open("wb") as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, cwd=ROOT)
    try:
        async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
            while not state.exists():
                await asyncio.sleep(0.05)
        made = json.loads(state.read_text())
        for number in range(4):
            assert (await chat(made["url"], "full", f"number {number}")).events[-1] == "done"
        os.kill(made["pids"]["valkey"], signal.SIGKILL)
        async with asyncio.timeout(timeouts.SERVICE_RESTARTED):
            while not await valkey.is_responding(urlsplit(made["redis"]).port or 0):
                await asyncio.sleep(0.05)
        assert (await chat(made["url"], "full", "after all")).events[-1] == "done"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, timeouts.ENDED_FOR_SURE) == 0
    finally:
        process.kill()
        os.close(pager)
