"""What README and docs tell people to type works as it stands.

What needs a cluster is typed in `e2e/kind`, by a test of the same name.
"""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from e2e.harness.documented import Command, mentioned, typed
from e2e.harness.stack import ROOT, Stack
from vtuber_cli import settings
from vtuber_cli.__main__ import command_line

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


def of_kind(kind: str, commands: list[Command]) -> list[Command]:
    return [command for command in commands if command.kind == kind]


def test_every_command_is_typed_by_a_test() -> None:
    commands = typed()
    assert [command for command in commands if command.kind is None] == []
    assert {command.page for command in commands} >= {
        "README.md",
        "kubernetes.md",
        "vtubersession.md",
        "fallback.md",
        "phone.md",
    }


def test_every_target_of_make_is_there() -> None:
    asked = {
        word
        for command in (*typed(), *mentioned())
        if command.kind == "make"
        for word in command.call[1:]
        if "=" not in word
    }
    assert asked >= {"run", "test", "up", "down", "models"}
    done = subprocess.run(
        ["make", "-n", *sorted(asked)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_variable_is_a_setting_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        command
        for command in (*of_kind("make", typed()), *of_kind("make", mentioned()))
        if "run" in command.call
    ]
    assert sum(bool(command.variables) for command in runs) >= 6
    for command in runs:
        with monkeypatch.context() as shell:
            for name, value in command.variables.items():
                shell.setenv(name, value)
            loaded = settings.load()
            known = {
                name
                for module in {spec.module for spec in loaded.services}
                for name in taken_by(module)
            }
        assert set(command.variables) - known <= {
            "PORT",
            "REDIS_URL",
            "LEGACY_ENABLED",
            "MICROPHONE_ENABLED",
        }, command


def taken_by(module: str) -> set[str]:
    """The names of the settings that a service reads, once it has taken those of the environment."""
    found = importlib.import_module(f"{module}.settings")
    for each in vars(found).values():
        if (
            isinstance(each, type)
            and issubclass(each, BaseSettings)
            and each.__module__ == found.__name__
        ):
            return {name.upper() for name in type(each()).model_fields}
    raise AssertionError(module)


@pytest.mark.parametrize(
    "command", [*of_kind("vtuber", typed()), *of_kind("vtuber", mentioned())], ids=str
)
def test_every_command_of_vtuber_is_one(command: Command) -> None:
    command_line().parse_args(command.call[1:])


def test_what_is_said_to_a_running_system_is_answered(fake_models: Stack, tmp_path: Path) -> None:
    commands = [
        command for command in typed() if command.kind == "curl" or command.call[1:2] == ["say"]
    ]
    assert {command.kind for command in commands} == {"curl", "vtuber"}
    for command in commands:
        text = command.text.replace("localhost:8000", fake_models.url.removeprefix("http://"))
        text = re.sub(r"^\.venv/bin/vtuber", f"{shlex.quote(sys.executable)} -m vtuber_cli", text)
        env = {**os.environ, "VTUBER_URL": fake_models.url}
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        assert (
            "event: done" in done.stdout
            if command.kind == "curl"
            else "voice: answer.wav" in done.stdout
        ), (
            command,
            done.stdout,
        )


def test_the_patch_of_the_way_back_is_the_one_that_the_command_makes() -> None:
    (written,) = [
        command for command in typed() if command.page == "fallback.md" and "patch" in command.call
    ]
    (said,) = {
        command.text
        for command in mentioned()
        if command.page == "fallback.md" and "flags off live-001" in command.text
    }
    command = [sys.executable, "-m", "vtuber_cli", *shlex.split(said)[1:], "--dry-run"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert sorted(shlex.split(made)) == sorted(written.words)
    assert json.loads(written.words[-1])["spec"]["flags"]["ENABLE_SYNC_CORE"] is False
